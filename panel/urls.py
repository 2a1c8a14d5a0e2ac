from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from panel import admin_watching, views
from panel.api import documentation, openapi
from panel.api.views import ApiView

# Staff sign in where customers do, with the same limits on guessing.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign, no-untyped-call]  # as its documentation says

urlpatterns = [
    path("", views.home, name="home"),
    path("", include("orders.urls")),
    path("", include("catalog.urls")),
    path("", include("accounts.urls")),
    path("api/v2", ApiView.as_view(), name="api"),
    path("api/v2/", ApiView.as_view()),
    path("api/v2/openapi.json", openapi.serve, name="openapi"),
    path("api/docs/", documentation.show, name="api_docs"),
    path("admin/health/", admin.site.admin_view(admin_watching.show_all), name="provider_health"),
    path("admin/health/<int:pk>/", admin.site.admin_view(admin_watching.show_one), name="provider_health_services"),
    path("admin/", admin.site.urls),
    path("health/", views.health, name="health"),
]
