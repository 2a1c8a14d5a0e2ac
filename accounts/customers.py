"""Customers as operators make and find them; those who sign up by themselves come through allauth's pages."""

import re
from dataclasses import dataclass
from decimal import Decimal

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Lower

from accounts import api_keys, ledger
from accounts.errors import UserError
from accounts.models import User

NOT_IN_USERNAMES = re.compile(r"[^\w.+-]")
# Leaves room for a number in a column of 150.
LONGEST_BASE = 140


@dataclass(frozen=True, slots=True)
class NewCustomer:
    """A customer to be made; without a user name it comes from the e-mail address, without a password none works."""

    email: str
    username: str = ""
    password: str | None = None
    balance: Decimal = Decimal(0)


@transaction.atomic
def create_customer(new: NewCustomer) -> tuple[User, str]:
    """Make a customer with an account, an opening balance and an API key; return him and the key, readable only now.

    Raises UserError when the address or the name is taken or cannot be used, or the balance is below zero.
    """
    if new.balance < 0:
        raise UserError("An opening balance cannot be below zero", field="balance")
    if new.password is not None and not new.password:
        raise UserError("The password is empty", field="password")
    user = _create_user(new)
    # Whoever makes the customer vouches for the address, so that he can sign in where addresses must be verified.
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    ledger.open_account(user.pk)
    if new.balance:
        ledger.adjust(user.pk, new.balance, reference=f"opening:{user.pk}", note="Opening balance")
    return user, api_keys.issue_key(user.pk)[1]


def find_customer(email: str) -> User:
    """Return the user with an e-mail address, in any case; raise UserError when there is none."""
    user = User.objects.filter(email__iexact=email.strip()).first()
    if user is None:
        raise UserError(f"No user has the e-mail address '{email}'", field="email")
    return user


def _create_user(new: NewCustomer) -> User:
    email = User.objects.normalize_email(new.email.strip())
    if User.objects.filter(email__iexact=email).exists():
        raise UserError(f"A user with the e-mail address '{email}' exists already", field="email")
    if new.username and User.objects.filter(username__iexact=new.username).exists():
        raise UserError(f"A user with the name '{new.username}' exists already", field="username")
    user = User(email=email, username=new.username or _free_username(email))
    user.set_password(new.password)
    try:
        user.clean_fields()
        with transaction.atomic():
            user.save()
    except ValidationError as error:
        field, (text, *_) = next(iter(error.message_dict.items()))
        raise UserError(f"{field}: {text}", field=field) from error
    except IntegrityError as error:
        raise UserError(f"A user like '{email}' exists already", field="email") from error
    return user


def _free_username(email: str) -> str:
    """Return what stands before the @, with a number when that name is taken."""
    base = NOT_IN_USERNAMES.sub("", email.partition("@")[0])[:LONGEST_BASE] or "customer"
    named = User.objects.filter(username__istartswith=base)
    taken = set(named.annotate(lowered=Lower("username")).values_list("lowered", flat=True))
    names = [base, *(f"{base}{number}" for number in range(2, len(taken) + 2))]
    return next(name for name in names if name.lower() not in taken)
