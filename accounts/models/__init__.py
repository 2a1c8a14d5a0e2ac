from accounts.models.api_key import ApiKey
from accounts.models.ledger import LedgerAccount, LedgerDay, Transfer
from accounts.models.user import User

__all__ = ["ApiKey", "LedgerAccount", "LedgerDay", "Transfer", "User"]
