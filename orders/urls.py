from django.urls import path

from orders import views

urlpatterns = [
    path("orders/", views.orders, name="orders"),
    path("orders/new/", views.new_order, name="new_order"),
    path("orders/ask/", views.ask, name="ask"),
    path("orders/<int:order_id>/", views.order, name="order"),
]
