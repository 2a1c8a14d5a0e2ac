from django.urls import include, path

from accounts import views

urlpatterns = [
    path("statement/", views.statement, name="statement"),
    path("api/", views.list_keys, name="api_keys"),
    path("api/keys/", views.create_key, name="create_key"),
    path("api/keys/<int:key_id>/", views.change_key, name="change_key"),
    path("api/keys/<int:key_id>/revoke/", views.revoke_key, name="revoke_key"),
    path("account/", include("allauth.account.urls")),
]
