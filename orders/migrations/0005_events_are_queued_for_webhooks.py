from django.db import migrations

# The database queues an event with the very statement that writes it: no way in which an order can change leaves its
# webhooks out, and an event that is rolled back was never queued. Nearly nobody has an endpoint, which costs one look.
QUEUE = """
CREATE FUNCTION queue_webhooks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO orders_webhookdelivery (endpoint_id, event_id, order_id, kind)
    SELECT endpoint.id, event.id, event.order_id, event.kind
    FROM added event
    JOIN orders_order o ON o.id = event.order_id
    JOIN orders_webhookendpoint endpoint ON endpoint.user_id = o.user_id
        AND endpoint.disabled_at IS NULL AND event.kind = ANY(endpoint.kinds)
    ORDER BY event.id;
    RETURN NULL;
END $$;

CREATE TRIGGER queue_webhooks AFTER INSERT ON orders_orderevent REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION queue_webhooks();
"""


class Migration(migrations.Migration):
    dependencies = [("orders", "0004_webhooks_and_trial_orders")]
    operations = [
        migrations.RunSQL(QUEUE, "DROP TRIGGER queue_webhooks ON orders_orderevent;\nDROP FUNCTION queue_webhooks();\n")
    ]
