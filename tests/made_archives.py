"""Archives that tests make up, in memory."""

import io
import tarfile


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar.gz of *members*, each with its content."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as pack:
        for info, data in members:
            info.size = len(data)
            pack.addfile(info, io.BytesIO(data))
    return content.getvalue()
