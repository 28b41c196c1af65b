"""What each role may do, in sentences for the invited person."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from console.access.roles import Role

ROLE_SENTENCES: dict[Role, Promise] = {
    Role.READER: _("You can see and pull images."),
    Role.WRITER: _("You can see, pull and push images."),
    Role.MAINTAINER: _("You can see, pull, push, edit and delete images."),
    Role.OWNER: _("You can do everything: images, members, handing over and deleting."),
}
