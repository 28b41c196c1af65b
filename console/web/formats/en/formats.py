"""Times are short, sortable by eye, and the same for everybody, with their zone; what is not here is Django's."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i e"
