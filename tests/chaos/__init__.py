"""Chaos: customers buy at three providers that misbehave by a seed, while workers, beat and broker are killed.

`tests/faults/test_chaos.py` runs it short in `make test`; `make chaos SEED=7 ORDERS=1000 MINUTES=5` runs it long. What
is drawn stands in `plan`, what is held against the end in `judging`.
"""
