"""Tars that are written member by member, honest and not."""
import io
import os
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


# Byte by byte, for what tarfile does not write.

USTAR, GNU = b"ustar\x0000", b"ustar  \x00"
END = bytes(1024)


def block(name, kind=b"0", size=0, target="", mode=0o644, magic=USTAR, prefix=b"", behind=b""):
    """A header; `prefix` is what stands at 345, `behind` what stands at 500."""
    fields = [(0, os.fsencode(name)), (100, b"%07o" % mode), (108, b"0000000"), (116, b"0000000"), (124, b"%011o" % size), (136, b"%011o" % 1),
              (156, kind), (157, os.fsencode(target)), (257, magic), (345, prefix), (500, behind)]
    header = bytearray(512)
    header[148:156] = b" " * 8
    for at, field in fields:
        header[at:at + len(field)] = field
    header[148:156] = b"%06o\x00 " % sum(header)
    return bytes(header)


def padded(content):
    return content + bytes(-len(content) % 512)


def raw(name, content=b"", kind=b"0", **fields):
    """A member of any type with its content."""
    return block(name, kind, len(content), **fields) + padded(content)


def pax(*records, kind=b"x", name="PaxHeaders/x"):
    """An extended header of `KEY=VALUE` records, in order and as often as they are given."""
    body = b""
    for record in map(os.fsencode, records):
        length = len(record) + 3
        while len(b"%d %s\n" % (length, record)) != length:
            length += 1
        body += b"%d %s\n" % (length, record)
    return raw(name, body, kind)
