"""Names of images: from the name in a row to a file inside the image root, and which names may be written.

Names come from data, which is hostile: nothing here leaves the root, follows a URL or writes where it should not.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field
from pathlib import Path

from groundprep.errors import PayloadError
from groundprep.images import FileImage
from groundprep.jpeg import ImageInfo

URL_SCHEMES = ("http:", "https:", "s3:", "gs:", "hf:", "data:", "file:", "ftp:")
EXTENSIONS = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "GIF": ".gif",
}


@dataclass(frozen=True, slots=True)
class ImageRoot:
    """Turns the names in rows into files, without letting a name leave the root.

    Args:
        directory: `--image-root`; None means the annotation file's own directory.
        default_directory: where relative names start when no root was given.
    """

    directory: str | None
    default_directory: str = "."
    _root: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        root = os.path.abspath(self.directory or self.default_directory)  # noqa: PTH100 (lexical on purpose)
        object.__setattr__(self, "_root", root.rstrip("/") + "/")

    def locate(self, name: str) -> FileImage:
        """Return the file that a row's image name means; raises PayloadError (`image-name`, `image-url`).

        Names are resolved lexically: `..` may not leave the root; symlinks inside it are followed. Absolute names are
        accepted without an explicit root, or inside it.
        """
        if not name or "\0" in name:
            raise PayloadError("the image name is empty or holds a NUL", code="image-name", found=name)
        if "://" in name or name.lower().startswith(URL_SCHEMES):
            raise PayloadError(
                "the image is a URL", code="image-url", found=name, fix="download the images first and use --image-root"
            )
        root = self._root
        if name[0] not in "./" and "/." not in name and "//" not in name and name[-1] != "/":
            return FileImage(root + name)  # nothing to resolve: normpath would cost as much as parsing the row
        path = os.path.normpath(os.path.join(root, name))  # noqa: PTH118
        free = self.directory is None and posixpath.isabs(name)
        if not free and not (path + "/").startswith(root):
            raise PayloadError(
                "the image name leaves the image root",
                code="image-name",
                found=name,
                expected=f"a path inside {root}",
                fix="correct the name or pass another --image-root",
            )
        return FileImage(path)


def true_extension(info: ImageInfo) -> str:
    """Return the file extension that fits the image's real format."""
    return EXTENSIONS.get(info.format, ".img")


def is_safe_name(name: str) -> bool:
    """Say whether a name from data may name a file that we write: relative, inside, ordinary characters, not hidden."""
    path = Path(name)
    parts = path.parts
    return (
        bool(parts)
        and not path.is_absolute()
        and "\\" not in name
        and name == posixpath.normpath(name)
        and all(part not in ("..", ".") and not part.startswith(".") and part.isprintable() for part in parts)
        and len(name.encode("utf-8", "replace")) <= 200
        and "://" not in name
    )
