from django.contrib.admin.apps import AdminConfig


class AdministrationConfig(AdminConfig):
    """Django's administration, with our site as the default."""

    default_site = "console.administration.site.Administration"

    def ready(self) -> None:
        """Register the models of all rooms, under the product's names."""
        super().ready()
        from console.administration.navigation import name_models

        name_models()
