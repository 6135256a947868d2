"""Tars that are written member by member, honest and not."""
import io
import tarfile


def member(name, content=b"", **fields):
    """A member and its content, 0644 root:root; `fields` as tarfile.TarInfo has them."""
    info = tarfile.TarInfo(name)
    info.mode, info.size = 0o644, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar_of(members, format=tarfile.GNU_FORMAT):
    """The bytes of a tar with these members."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=format) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()
