from django.urls import path

from catalog import views

urlpatterns = [path("services/", views.services, name="services")]
