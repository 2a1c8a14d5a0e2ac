from accounts.models.api_key import ApiKey, ApiKeyDay
from accounts.models.ledger import LedgerAccount, LedgerDay, Transfer
from accounts.models.user import CustomerGroup, User

__all__ = ["ApiKey", "ApiKeyDay", "CustomerGroup", "LedgerAccount", "LedgerDay", "Transfer", "User"]
