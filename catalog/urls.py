from django.urls import path

from catalog import feeds, views

urlpatterns = [
    path("services/", views.services, name="services"),
    path("products/", views.products, name="products"),
    path("updates/", views.updates, name="updates"),
    path("updates.atom", feeds.updates_feed, name="updates_feed"),
    path("favourites/", views.star, name="star"),
]
