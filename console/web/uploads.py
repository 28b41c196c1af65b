"""Upload handler that refuses every file: no form of this site has one."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler, StopUpload


class NoUploads(FileUploadHandler):
    """Refuses files, and multipart forms above ``DATA_UPLOAD_MAX_MEMORY_SIZE``.

    Django would store uploaded files on the disk, also of anonymous clients, and limits neither their size nor the data
    between the parts of a multipart form.
    """

    def handle_raw_input(
        self, input_data: Any, META: Any, content_length: int, boundary: Any, encoding: str | None = None
    ) -> None:
        """Check the length before the body is read. :raises RequestDataTooBig: when it is too long."""
        if content_length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig("The form is too long.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Store nothing; usually ``DATA_UPLOAD_MAX_NUMBER_FILES`` has refused the file before."""
        raise StopUpload(connection_reset=True)

    def file_complete(self, file_size: int) -> None:
        """Do nothing: there are no files."""
