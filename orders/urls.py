from django.urls import path

from orders import views, views_products, views_webhooks

urlpatterns = [
    path("orders/", views.orders, name="orders"),
    path("orders/new/", views.new_order, name="new_order"),
    path("orders/mass/", views.mass_order, name="mass_order"),
    path("orders/ask/", views.ask, name="ask"),
    path("orders/<int:order_id>/", views.order, name="order"),
    path("orders/<int:order_id>/lines/", views_products.reveal, name="reveal"),
    path("orders/<int:order_id>/file/", views_products.download, name="download"),
    path("orders/<int:order_id>/replace/", views_products.replace, name="replace"),
    path("products/<int:product_id>/", views_products.product, name="product"),
    path("api/webhooks/", views_webhooks.webhooks, name="webhooks"),
    path("api/webhooks/<int:endpoint_id>/", views_webhooks.webhook, name="webhook"),
    path("api/webhooks/deliveries/<int:delivery_id>/", views_webhooks.webhook_delivery, name="webhook_delivery"),
]
