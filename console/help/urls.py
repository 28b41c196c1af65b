"""Addresses of the help."""

from django.urls import path

from console.help import views

urlpatterns = [
    path("", views.index, name="help"),
    path("certificate/", views.certificate, name="help-certificate"),
    path("certificate/ca.crt", views.certificate_file, name="help-certificate-file"),
    path("administration/<slug:name>/", views.administration_page, name="help-administration"),
    path("<slug:name>/", views.user_page, name="help-page"),
]
