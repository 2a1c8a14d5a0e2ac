from django.db import migrations

# Row triggers only: TRUNCATE is how the test runner empties tables, and no statement of the panel truncates.
REFUSE = """
CREATE FUNCTION refuse_to_change_a_transfer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'transfers are never changed: book another one' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER transfers_are_never_changed BEFORE UPDATE OR DELETE ON accounts_transfer
    FOR EACH ROW EXECUTE FUNCTION refuse_to_change_a_transfer();
"""
ALLOW = """
DROP TRIGGER transfers_are_never_changed ON accounts_transfer;
DROP FUNCTION refuse_to_change_a_transfer();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_users_keys_and_ledger")]
    operations = [migrations.RunSQL(REFUSE, ALLOW)]
