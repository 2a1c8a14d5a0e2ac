from django.db import migrations

# Nobody waits here for anybody, unlike at one counter that all writers would lock until they commit: a change writes a
# row of its own in place of those that no other open transaction is replacing. So the numbers that a reader sees are
# mostly one, and never the same twice, for each is larger than those it replaces; the clock keeps them apart from those
# of a backup's other future. Within a transaction the first change writes the row, and a setting that ends with it
# tells the further ones apart: ten thousand changes would otherwise leave ten thousand dead rows to step over.
COUNT = """
CREATE FUNCTION price_lists_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF coalesce(current_setting('panel.price_lists_changed', true), '') = '' THEN
        WITH free AS (
            SELECT id FROM catalog_pricelistversion FOR UPDATE SKIP LOCKED
        ), replaced AS (
            DELETE FROM catalog_pricelistversion version USING free WHERE version.id = free.id RETURNING version.number
        )
        INSERT INTO catalog_pricelistversion (number)
        SELECT greatest(max(number) + 1, extract(epoch FROM clock_timestamp()) * 1000000) FROM replaced;
    END IF;
    PERFORM set_config('panel.price_lists_changed', clock_timestamp()::text, true);
    RETURN NULL;
END $$;

INSERT INTO catalog_pricelistversion (number) VALUES (extract(epoch FROM clock_timestamp()) * 1000000);

CREATE TRIGGER price_lists_changed AFTER INSERT OR UPDATE OR DELETE ON catalog_category
    FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();
CREATE TRIGGER price_lists_changed AFTER INSERT OR UPDATE OR DELETE ON catalog_service
    FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();
CREATE TRIGGER price_lists_changed AFTER INSERT OR UPDATE OR DELETE ON catalog_route
    FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();
CREATE TRIGGER price_lists_changed AFTER INSERT OR UPDATE OR DELETE ON catalog_markup
    FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();
CREATE TRIGGER price_lists_changed AFTER INSERT OR UPDATE OR DELETE ON catalog_customrate
    FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();
CREATE TRIGGER price_lists_changed AFTER INSERT OR UPDATE OR DELETE ON accounts_customergroup
    FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();
"""

# What a reading of a list notes on every row (`read_at`) changes no price.
COUNT_SOME_COLUMNS = """
CREATE TRIGGER price_lists_changed AFTER INSERT OR DELETE OR UPDATE OF rate, cancel, vanished_at, waiting
    ON catalog_providerservice FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();
"""

# These rows are saved whole and all the time, for other reasons than prices: each is compared.
COUNT_DIFFERENCES = """
CREATE TRIGGER price_lists_changed AFTER UPDATE OF enabled, exchange_rate, exchange_rate_at, exchange_rate_days,
    dialect, dialect_overrides ON catalog_provider FOR EACH ROW
    WHEN ((OLD.enabled, OLD.exchange_rate, OLD.exchange_rate_at, OLD.exchange_rate_days, OLD.dialect,
        OLD.dialect_overrides) IS DISTINCT FROM (NEW.enabled, NEW.exchange_rate, NEW.exchange_rate_at,
        NEW.exchange_rate_days, NEW.dialect, NEW.dialect_overrides))
    EXECUTE FUNCTION price_lists_changed();
CREATE TRIGGER price_lists_changed AFTER UPDATE OF discount_percent, group_id ON accounts_user FOR EACH ROW
    WHEN ((OLD.discount_percent, OLD.group_id) IS DISTINCT FROM (NEW.discount_percent, NEW.group_id))
    EXECUTE FUNCTION price_lists_changed();
"""
TABLES = [
    "catalog_category",
    "catalog_service",
    "catalog_route",
    "catalog_markup",
    "catalog_customrate",
    "catalog_providerservice",
    "catalog_provider",
    "accounts_customergroup",
    "accounts_user",
]
# Emptied as a whole, as by a restore or between tests: no row is deleted then, and the list is another one all the same.
COUNT_EMPTYING = "".join(
    f"CREATE TRIGGER price_lists_emptied AFTER TRUNCATE ON {table}\n"
    "    FOR EACH STATEMENT EXECUTE FUNCTION price_lists_changed();\n"
    for table in TABLES
)
FORGET = "".join(
    f"DROP TRIGGER price_lists_changed ON {table};\nDROP TRIGGER IF EXISTS price_lists_emptied ON {table};\n"
    for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_customer_groups"),
        ("catalog", "0003_syncs_history_and_all_types"),
    ]
    operations = [
        migrations.RunSQL(
            COUNT + COUNT_SOME_COLUMNS + COUNT_DIFFERENCES + COUNT_EMPTYING,
            FORGET + "DROP FUNCTION price_lists_changed();\nDELETE FROM catalog_pricelistversion;",
        )
    ]
