"""POSIX access control lists: search permission on a folder for one other user (acl(5))."""

from __future__ import annotations

import errno
import os
import stat
import struct
from pathlib import Path

# The extended attribute with a POSIX access control list on Linux: a version, then entries of tag, permissions and user
# or group ID (linux/posix_acl_xattr.h), sorted by tag and ID.
_ATTRIBUTE = "system.posix_acl_access"
_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_EXECUTE = 1
_NOT_SUPPORTED = {errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}

_Entries = dict[tuple[int, int], int]


def let_pass(folder: Path, user: int, group: int) -> None:
    """Give a user search (not list) permission on a folder, without changing permissions of others.

    With an access control list; on a file system without them with the folder's group, if that is not in use.

    :param user: the user ID.
    :param group: the ID of that user's own group.
    :raises OSError: when the folder cannot be changed this way.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & stat.S_IXOTH:
        return
    try:
        entries = _read(folder, mode)
        granted = {**entries, (_USER, user): entries.get((_USER, user), 0) | _EXECUTE}
        granted[_MASK, _NO_ID] = granted.get((_MASK, _NO_ID), entries[_GROUP_OBJ, _NO_ID]) | _EXECUTE
        if granted != entries:
            os.setxattr(folder, _ATTRIBUTE, _packed(granted))
    except OSError as error:
        # Members of the current group must keep their permissions, and the new group must only get search permission.
        free = mode & stat.S_IRWXG == 0 or (mode & stat.S_IRWXG == stat.S_IXGRP and folder.stat().st_gid == group)
        if error.errno not in _NOT_SUPPORTED or not free:
            raise
        os.chown(folder, -1, group)
        folder.chmod(mode | stat.S_IXGRP)


def _read(folder: Path, mode: int) -> _Entries:
    """The folder's list, by tag and ID; if there is none, the equivalent of its mode."""
    try:
        packed = os.getxattr(folder, _ATTRIBUTE)
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return {(_USER_OBJ, _NO_ID): mode >> 6 & 7, (_GROUP_OBJ, _NO_ID): mode >> 3 & 7, (_OTHER, _NO_ID): mode & 7}
    entries = _ENTRY.iter_unpack(packed[_VERSION.size :])
    return {(tag, number): permissions for tag, permissions, number in entries}


def _packed(entries: _Entries) -> bytes:
    ordered = sorted(entries.items())
    return _VERSION.pack(2) + b"".join(_ENTRY.pack(tag, allowed, number) for (tag, number), allowed in ordered)
