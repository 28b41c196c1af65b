"""Upload handler that refuses every file."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler, StopUpload


class NoUploads(FileUploadHandler):
    """Refuses files, and forms that are too long.

    Django counts a form's fields, and keeps files on the disk, whoever sends them: neither the files nor what stands
    between the parts of such a form would have an end.
    """

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: str | None = None
    ) -> None:
        """Look at the length before anything is read. :raises RequestDataTooBig: when it is too much."""
        if content_length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig("The form is too long.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep nothing; ``DATA_UPLOAD_MAX_NUMBER_FILES`` has refused the file before."""
        raise StopUpload(connection_reset=True)

    def file_complete(self, file_size: int) -> None:
        """There is none."""
