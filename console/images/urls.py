"""URLs of the images."""

from django.urls import path

from console.images import views, views_changes, views_compare, views_copy, views_failures, views_overview, views_tags

urlpatterns = [
    path("-/create/", views_changes.create, name="image-create"),
    path("-/delete/", views_changes.delete_many, name="image-delete-many"),
    path("-/registry/", views.registry_status, name="registry-status"),
    path("-/version/", views.version, name="images-version"),
    path("-/guide/", views.guide, name="usage-guide"),
    path("-/storage/<namespace:namespace>/", views.storage, name="namespace-storage"),
    path("<repository:repository>/", views_overview.overview, name="image"),
    path("<repository:repository>/-/info/", views_overview.info, name="image-info"),
    path("<repository:repository>/-/settings/", views_overview.settings, name="image-settings"),
    path("<repository:repository>/-/tags/", views_tags.tags, name="image-tags"),
    path("<repository:repository>/-/commands/", views.commands, name="image-commands"),
    path("<repository:repository>/-/row/", views.row, name="image-row"),
    path("<repository:repository>/-/version/", views.image_version, name="image-version"),
    path("<repository:repository>/-/describe/", views_changes.describe, name="image-describe"),
    path("<repository:repository>/-/visibility/", views_changes.visibility, name="image-visibility"),
    path("<repository:repository>/-/delete/", views_changes.delete, name="image-delete"),
    path("<repository:repository>/-/delete-tags/", views_changes.tags_delete, name="tags-delete"),
    path("<repository:repository>/-/compare/", views_compare.compare_tags, name="image-compare"),
    path("<repository:repository>/-/tags/<tag:tag>/", views_tags.tag, name="tag"),
    path("<repository:repository>/-/tags/<tag:tag>/copy/", views_copy.copy, name="tag-copy"),
    path("<repository:repository>/-/copies/<int:number>/dismiss/", views_copy.dismiss, name="copy-dismiss"),
    path("<repository:repository>/-/problems/<int:number>/retry/", views_failures.retry, name="failure-retry"),
    path("<repository:repository>/-/problems/<int:number>/dismiss/", views_failures.dismiss, name="failure-dismiss"),
    path("<repository:repository>/-/manifests/<digest:digest>/", views_tags.manifest, name="manifest"),
    path("<repository:repository>/-/manifests/<digest:digest>/raw/", views_tags.raw, name="manifest-raw"),
    path("<repository:repository>/-/manifests/<digest:digest>/<slug:name>/", views_tags.part, name="manifest-part"),
]
