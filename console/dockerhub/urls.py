"""Addresses of the Docker Hub pages."""

from django.urls import path

from console.dockerhub import views

urlpatterns = [path("", views.overview, name="docker-hub")]
