"""Fuzzing: calls that nobody would write, and many that one would, against `/api/v2` as `make run` serves it.

`tests/faults/test_fuzz.py` runs it short in `make test`; `make fuzz REQUESTS=100000 SEED=7` runs it long. What is sent
stands in `drawing`, how it looks on the wire in `calls`, what is held against every answer in `judging`.
"""
