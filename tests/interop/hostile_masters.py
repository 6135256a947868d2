"""What one program sees in an image and another one does not: `verify --master` refuses it, and what it passes is what umoci and podman have."""
import hashlib
import json
import os
import stat
import subprocess
import tarfile
import unittest
from pathlib import Path

from image_masters import CODE, CONFIG, ROOT, TrainOnMaster
from support import journey
from support.case import TrainsealTest
from support.images import FORMS, tool
from support.tars import END, GNU, block, member, padded, pax, raw, tar_of

EVIL = b"another interpreter"
PYTHON, JUNK = "usr/bin/python3", "opt/pht_results/junk"
EVIL_PYTHON = raw(PYTHON, EVIL, mode=0o755)
SPARSE_MAP = padded(b"1\n0\n%d\n" % len(EVIL))


def linked(name, target, **fields):
    return member(name, type=tarfile.LNKTYPE, linkname=target, **fields)


def folder_of(name, mode=0o755):
    return member(name, type=tarfile.DIRTYPE, mode=mode)


# Layers that two readers take for two things, and the codes with which they are refused. Between the master and the train, where whoever had the
# image before has put them.
REFUSED_LAYERS = {
    "a member in the content of a hard link": (pax("mtime=1") + block(JUNK, b"1", 1024, "opt/tool") + EVIL_PYTHON + END, "hostile_path"),
    "a member in the content of a hard link, by pax": (pax("size=1024") + block(JUNK, b"1", 0, "opt/tool") + EVIL_PYTHON + END, "hostile_path"),
    "a member in the content of a symlink": (block(JUNK, b"2", 1024, "x") + EVIL_PYTHON + END, "hostile_path"),
    "a member in the content of a folder": (block("opt/pht_results/x", b"5", 1024, mode=0o755) + EVIL_PYTHON + END, "hostile_path"),
    "a member in the content of a pipe": (block(JUNK, b"6", 1024) + EVIL_PYTHON + END, "hostile_path"),
    "a sparse name": (pax(f"path={JUNK}", "GNU.sparse.major=1", "GNU.sparse.minor=0", f"GNU.sparse.name={PYTHON}", f"GNU.sparse.realsize={len(EVIL)}")
                      + raw("x", SPARSE_MAP + EVIL, mode=0o755) + END, "hostile_path"),
    "a sparse file of GNU tar": (raw(JUNK, b"x", b"S", magic=GNU) + END, "hostile_path"),
    "a real size": (pax("SCHILY.realsize=99") + raw(JUNK, b"x") + END, "hostile_path"),
    "holes of Solaris": (pax("SUN.holesdata= 0 1") + raw(JUNK, b"x") + END, "hostile_path"),
    "an extended header, a global one, a member": (pax(f"path={JUNK}") + pax("comment=x", kind=b"g") + EVIL_PYTHON + END, "hostile_path"),
    "a global header in the place of a file": (pax("comment=x", kind=b"g", name=PYTHON) + END, "hostile_path"),
    "two extended headers": (pax(f"path={PYTHON}") + pax("mtime=1") + raw(JUNK, EVIL) + END, "hostile_path"),
    "an extended header and a long name": (pax(f"path={JUNK}") + raw("@", PYTHON.encode() + b"\0", b"L") + raw("x", EVIL) + END, "hostile_path"),
    "a long name and an extended header": (raw("@", PYTHON.encode() + b"\0", b"L") + pax(f"path={JUNK}") + raw("x", EVIL) + END, "hostile_path"),
    "two long names": (raw("@", PYTHON.encode(), b"L") + raw("@", JUNK.encode(), b"L") + raw("x", EVIL) + END, "hostile_path"),
    "a long name that ends twice": (raw("@", PYTHON.encode() + b"\0x", b"L") + raw("x", EVIL) + END, "hostile_path"),
    "an extended header of Sun": (pax(f"path={JUNK}", kind=b"X") + EVIL_PYTHON + END, "hostile_path"),
    "a header without its member": (pax(f"path={JUNK}") + END, "store_failed"),
    "a path twice": (pax(f"path={JUNK}", f"path={PYTHON}") + raw("x", EVIL) + END, "hostile_path"),
    "a path of nothing": (pax("path=") + raw(JUNK, EVIL) + END, "hostile_path"),
    "a path that ends before its end": (pax(f"path={PYTHON}\0x") + raw("x", EVIL) + END, "hostile_path"),
    "two sizes": (pax(f"size={len(EVIL)}") + block(JUNK, size=1) + padded(EVIL) + END, "hostile_path"),
    "an owner that wraps to root": (pax("uid=4294967296") + raw(JUNK, EVIL) + END, "hostile_path"),
    "a contiguous file": (raw(JUNK, b"x", b"7") + END, "hostile_path"),
    "a volume": (raw(JUNK, b"", b"V", magic=GNU) + END, "hostile_path"),
    "the front of a name where GNU tar has times": (raw("tool", EVIL, magic=GNU, prefix=b"opt") + END, "store_failed"),
    "a header of star": (raw("x", EVIL, prefix=b"opt", behind=bytes(8) + b"tar\0") + END, "store_failed"),
    "a header from before ustar": (raw("tool", EVIL, magic=bytes(8), prefix=b"opt") + END, "store_failed"),
    "a member behind the end": (bytes(512) + EVIL_PYTHON + END, "store_failed"),
    "a file with the name of a folder": (raw("usr/bin/", b"") + END, "hostile_path"),
    "a file with the name of a folder, as before ustar": (raw("usr/bin/", b"", b"\0") + END, "hostile_path"),
    "a link, then a file of its name": (tar_of([linked(PYTHON, "usr/bin/same", mode=0o755), member(PYTHON, EVIL, mode=0o755)]), "hostile_path"),
    "a file, a link to it, another file": (tar_of([member(PYTHON, EVIL, mode=0o755), linked("usr/bin/same", PYTHON, mode=0o755),
                                                   member(PYTHON, b"an interpreter", mode=0o755)]), "hostile_path"),
    "a link to what is written after it": (tar_of([linked("usr/bin/same", "etc/passwd"), member("etc/passwd", b"root:x:0:0\n"),
                                                   member("usr/bin/same", b"root:x:0:0\n")]), "hostile_path"),
    "a link with another mode": (tar_of([linked(JUNK, PYTHON, mode=0o4755)]), "hostile_path"),
    "a link with another owner": (tar_of([linked(JUNK, PYTHON, mode=0o755, uid=1000)]), "hostile_path"),
    "a link with attributes": (tar_of([linked(JUNK, PYTHON, mode=0o755, pax_headers={"SCHILY.xattr.user.x": "y"})], tarfile.PAX_FORMAT), "hostile_path"),
    "twice, with another mode": (tar_of([member("etc/passwd", b"root:x:0:0\n", mode=0o666), member("etc/passwd", b"root:x:0:0\n")]), "hostile_path"),
    "a folder twice, with another mode": (tar_of([folder_of("usr/bin", 0o777), folder_of("usr/bin")]), "hostile_path"),
    "a file in the place of a folder of its layer": (tar_of([folder_of("usr/x"), member("usr/x", b"x")]), "hostile_path"),
    "written and removed": (tar_of([member(PYTHON, b"an interpreter", mode=0o755), member("usr/bin/.wh.python3")]), "hostile_path"),
    "removed and written": (tar_of([member("usr/bin/.wh.python3"), member(PYTHON, b"an interpreter", mode=0o755)]), "hostile_path"),
    "written in a folder that is removed": (tar_of([member("srv/private/key", b"a key"), member("srv/.wh.private")]), "hostile_path"),
    "a folder that is removed and made anew": (tar_of([member("srv/.wh.private"), folder_of("srv/private", 0o700), member("srv/private/key", b"a key")]),
                                               "hostile_path"),
    "a removal of no name": (tar_of([member("usr/bin/.wh.")]), "hostile_path"),
    "a removal of the folder": (tar_of([member("usr/bin/.wh..")]), "hostile_path"),
    "a removal of the folder above": (tar_of([member("usr/bin/.wh...")]), "hostile_path"),
    "a member in a removal": (tar_of([member("usr/bin/.wh.x/y", b"x")]), "hostile_path"),
    "emptied after something in a folder that nobody writes": (tar_of([member("srv/private/key", b"a key"), member("srv/.wh..wh..opq")]), "hostile_path"),
    "emptied twice": (tar_of([member("usr/bin/.wh..wh..opq"), member("usr/bin/.wh..wh..opq")]), "hostile_path"),
    "a folder that is made anew, but not its mode": (tar_of([member("srv/.wh.private"), member("srv/private/key", b"a key")]), "base_mismatch"),
    "two sets of attributes": (pax("LIBARCHIVE.xattr.user.x=eA", "SCHILY.xattr.user.x=evil") + raw("etc/passwd", b"root:x:0:0\n") + END, "base_mismatch"),
}
# Odd, but every reader's: what passes is what umoci unpacks.
ODD_LAYERS = {
    "names from the root": raw("/" + PYTHON, b"an interpreter", mode=0o755) + END,
    "names with dots and slashes": raw("./usr//bin/./python3", b"an interpreter", mode=0o755) + END,
    "a name in two parts": raw("bin/python3", b"an interpreter", mode=0o755, prefix=b"usr") + END,
    "a name in two parts that changes": raw("bin/python3", EVIL, mode=0o755, prefix=b"usr") + END,
    "times where GNU tar has them": raw(PYTHON, b"an interpreter", mode=0o755, magic=GNU, prefix=b"00000000001\x0000000000001\0") + END,
    "the kind of the file in its mode": raw(PYTHON, b"an interpreter", mode=0o100755) + END,
    "a long name": raw("@", PYTHON.encode() + b"\0", b"L", magic=GNU) + raw("x", b"an interpreter", mode=0o755, magic=GNU) + END,
    "a long link": raw("@", b"python3\0", b"K", magic=GNU) + block("usr/bin/python", b"2", 0, "x", mode=0o644, magic=GNU) + END,
    "a pax name": pax(f"path={PYTHON}", "mtime=1.5", "comment=x", "VENDOR.x=y") + raw("x", b"an interpreter", mode=0o755) + END,
    "a pax name that changes": pax(f"path={PYTHON}") + raw("x", EVIL, mode=0o755) + END,
    "a pax name that is no UTF-8": pax(b"path=opt/pht_results/\xff") + raw("x", b"an interpreter") + END,
    "attributes of libarchive": pax("LIBARCHIVE.xattr.user.x=eA") + raw("etc/passwd", b"root:x:0:0\n") + END,
    "nothing behind the last byte": block("etc/passwd", size=11) + b"root:x:0:0\n",
    "something behind the end": tar_of([]) + b"x" * 512,
    "one block of zeros": raw("etc/passwd", b"root:x:0:0\n") + bytes(512),
    "twice": tar_of([member("etc/passwd", b"root:x:0:0\n")] * 2),
    "a link twice": tar_of([linked("usr/bin/same", PYTHON, mode=0o755)] * 2),
    "a link, and a file of the same content": tar_of([linked("usr/bin/same", PYTHON, mode=0o755), member("usr/bin/same", b"an interpreter", mode=0o755)]),
    "a link in the layer": tar_of([member(PYTHON, b"an interpreter", mode=0o755), linked("usr/bin/same", PYTHON, mode=0o755)]),
    "emptied first": tar_of([folder_of("srv/private", 0o700), member("srv/private/.wh..wh..opq"), member("srv/private/key", b"a key")]),
    "emptied last": tar_of([folder_of("srv/private", 0o700), member("srv/private/key", b"a key"), member("srv/private/.wh..wh..opq")]),
    "emptied above": tar_of([member("srv/.wh..wh..opq"), folder_of("srv/private", 0o700), member("srv/private/key", b"a key")]),
    "a removal of nothing": tar_of([member("usr/.wh.x")]),
    "a removal that is a folder": tar_of([folder_of("srv/.wh.private")]),
    "a removal that is a link": tar_of([linked("srv/.wh.private", PYTHON)]),
    "a note of an engine": tar_of([member("usr/bin/.wh..wh.aufs")]),
    "a folder in the place of a link": tar_of([folder_of("usr/bin/python")]),
    "the root": tar_of([folder_of("./")]),
}


def replaced(old, new):
    """An edit of JSON's text, once."""
    def edit(text):
        assert text.count(old) >= 1, f"{old} is not in {text}"
        return text.replace(old, new, 1)
    return edit


# The keys of images as Go reads them: in any case, with the long s for s and the Kelvin sign for k.
MISSPELLED = {
    "an entry point": ("edit_config", replaced('"config": {', '"config": {"entrypoint": ["/opt/pht_results/run"], ')),
    "a check of health": ("edit_config", replaced('"config": {', '"config": {"HEALTHCHECK": {"Test": ["CMD", "evil"]}, ')),
    "what a build runs": ("edit_config", replaced('"config": {', '"config": {"onBuild": ["RUN evil"], ')),
    "a shell": ("edit_config", replaced('"config": {', '"config": {"\\u017fhell": ["evil"], ')),
    "a user beside another": ("edit_config", replaced('"User": ""', '"User": "", "u\\u017fer": "root"')),
    "a folder beside another": ("edit_config", replaced('"WorkingDir": "/opt"', '"WorkingDir": "/opt", "Wor\u212aingDir": "/opt/pht_results"')),
    "layers of the config": ("edit_config", replaced('"rootfs": {', '"rootf\\u017f": {"type": "layers", "diff_ids": []}, "rootfs": {')),
    "diff_ids": ("edit_config", replaced('"rootfs": {', '"rootfs": {"Diff_ids": [], ')),
    "the config's config": ("edit_config", replaced('"config": {', '"Config": {')),
    "layers of the manifest": ("edit_manifest", replaced('"layers": [', '"layer\\u017f": [], "layers": [')),
    "the manifest's config": ("edit_manifest", replaced('"config": {', '"Config": {}, "config": {')),
    "a layer's digest": ("edit_manifest", replaced('"digest": ', '"Dige\\u017ft": "sha256:", "digest": ')),
    "manifests": ("edit_index", replaced('"manifests": [', '"manife\\u017ft\\u017f": [], "manifests": [')),
    "a manifest's annotations": ("edit_index", replaced('"annotations": {', '"Annotation\\u017f": {}, "annotations": {')),
    "a manifest's platform": ("edit_index", replaced('"annotations": {', '"platform": {"O\\u017f": "linux"}, "annotations": {')),
}
# Documents that can be read as another thing.
AMBIGUOUS = {
    "a manifest with manifests": ("edit_manifest", replaced('"layers": [', '"manifests": [], "layers": [')),
    "a manifest that says that it is an index": ("edit_manifest", replaced('"layers": [', '"mediaType": "application/vnd.oci.image.index.v1+json", "layers": [')),
    "a manifest that says that it is nothing": ("edit_manifest", replaced('"layers": [', '"mediaType": null, "layers": [')),
    "a manifest of Docker's first form": ("edit_manifest", replaced('"layers": [', '"fsLayers": [], "layers": [')),
    "an index with layers": ("edit_index", replaced('"manifests": [', '"layers": [], "manifests": [')),
    "an index that says that it is a manifest": ("edit_index", replaced('"manifests": [', '"mediaType": "application/vnd.oci.image.manifest.v1+json", "manifests": [')),
}
ATTESTATION = {"vnd.docker.reference.type": "attestation-manifest"}
NAMED = {"org.opencontainers.image.ref.name": "latest"}


def tree(root):
    """What a container would see below `root`, but for the train; times apart."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            kind = stat.S_IFMT(status.st_mode)
            content = os.readlink(path) if kind == stat.S_IFLNK else Path(path).read_bytes() if kind == stat.S_IFREG else status.st_rdev
            attributes = {key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)}
            mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
            found[os.path.relpath(path, root)] = (kind, mode, status.st_uid, status.st_gid, content, attributes)
    return {path: facts for path, facts in found.items()
            if not path.startswith(("opt/pht_", "opt/train_config.json", "opt/user_sym_key.key")) and path != "opt"}


class Disagreements(TrainOnMaster):
    """What one program sees in an image, and another one does not."""

    def put_below(self, layer, **edits):
        self.layout.write("latest", [tar_of(ROOT), layer, self.sealed], CONFIG, **edits)

    def unpacked(self, tag):
        bundle = self.fresh("bundle") / "bundle"
        tool(self.train.home, "umoci", "unpack", *([] if os.geteuid() == 0 else ["--rootless"]), "--image", f"{self.layout.path}:{tag}", bundle)
        return tree(bundle / "rootfs")

    def stored(self, tag):
        """As podman and buildah have it in their storage; none where they refuse it."""
        store = self.fresh("store")
        settings = store / "storage.conf"
        settings.write_text(f'[storage]\ndriver="vfs"\nrunroot="{store}/run"\ngraphroot="{store}/graph"\n')
        environment = {"PATH": os.environ["PATH"], "HOME": str(store), "TMPDIR": str(store), "CONTAINERS_STORAGE_CONF": str(settings)}
        copied = subprocess.run(["skopeo", "copy", "--insecure-policy", self.layout.name(tag), "containers-storage:localhost/train:latest"],
                                env=environment, capture_output=True, timeout=240)
        if copied.returncode != 0:
            self.assertIn(b"ApplyLayer", copied.stderr)
            return None
        image, = json.loads((store / "graph" / "vfs-images" / "images.json").read_text())
        return tree(store / "graph" / "vfs" / "dir" / image["layer"])

    def test_layers_that_readers_disagree_on(self):
        for name, (layer, code) in REFUSED_LAYERS.items():
            with self.subTest(layer=name):
                self.put_below(layer)
                self.assert_refused(self.verify(), code)

    @unittest.skipIf(os.geteuid() != 0, "an engine's storage keeps owners")
    def test_what_passes_is_what_podman_stores(self):
        master = self.stored("base")
        refused = []
        for name, layer in ODD_LAYERS.items():
            with self.subTest(layer=name):
                self.put_below(layer)
                if self.verify().exit == 0:
                    stored = self.stored("latest")
                    self.assertIn(stored, (None, master))
                    refused += [name] if stored is None else []
        self.assertLess(len(refused), 6, refused)

    def test_what_passes_is_what_umoci_unpacks(self):
        master = self.unpacked("base")
        passed = []
        for name, layer in ODD_LAYERS.items():
            with self.subTest(layer=name):
                self.put_below(layer)
                outcome = self.verify()
                unpacked = self.unpacked("latest")
                self.assertEqual(outcome.exit == 0, unpacked == master, str(outcome))
                if outcome.exit == 0:
                    passed.append(name)
                else:
                    self.assert_refused(outcome, "base_mismatch")
        self.assertGreater(len(passed), 20)

    def test_documents_that_readers_disagree_on(self):
        for name, (edited, edit) in {**MISSPELLED, **AMBIGUOUS}.items():
            with self.subTest(document=name):
                self.put_below(tar_of([]), **{edited: edit})
                self.assert_refused(self.verify(), "store_failed")
                self.assert_refused(self.station.run("verify", self.layout.name()), "store_failed")

    def test_attestations_are_what_is_for_no_platform(self):
        """skopeo takes the first entry of a name, whatever its annotations call it, and an entry for its platform."""
        def blob(content):
            digest = hashlib.sha256(content).hexdigest()
            (self.layout.path / "blobs" / "sha256" / digest).write_bytes(content)
            return {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}", "size": len(content)}

        def edit(change):
            def edit_index(text):
                index = json.loads(text)
                good = index["manifests"].pop()
                evil, = [entry for entry in index["manifests"] if entry["annotations"].get("org.opencontainers.image.ref.name") == "evil"]
                index["manifests"] += change({key: good[key] for key in ("mediaType", "digest", "size")}, {key: evil[key] for key in ("mediaType", "digest", "size")})
                return json.dumps(index)
            return edit_index

        def nested(*entries):
            return [{**blob(json.dumps({"schemaVersion": 2, "manifests": list(entries)}).encode()), "annotations": NAMED}]

        machine = {"os": "linux", "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)}
        nowhere = {"os": "unknown", "architecture": "unknown"}
        cases = {
            "of the name": (lambda good, evil: [{**evil, "annotations": {**NAMED, **ATTESTATION}}, {**good, "annotations": NAMED}], False),
            "of the name, for no platform": (lambda good, evil: [{**evil, "annotations": {**NAMED, **ATTESTATION}, "platform": nowhere}, {**good, "annotations": NAMED}], False),
            "for this platform": (lambda good, evil: nested({**evil, "annotations": ATTESTATION, "platform": machine}, {**good, "platform": machine}), False),
            "for any platform": (lambda good, evil: nested({**evil, "annotations": ATTESTATION}, good), False),
            "for no platform": (lambda good, evil: nested({**good, "platform": machine}, {**evil, "annotations": ATTESTATION, "platform": nowhere}), True),
        }
        for name, (change, passes) in cases.items():
            with self.subTest(attestation=name):
                self.layout.write("evil", [tar_of(ROOT), EVIL_PYTHON + END, self.sealed], CONFIG)
                self.put_below(tar_of([]), edit_index=edit(change))
                self.assert_done(self.verify()) if passes else self.assert_refused(self.verify(), "store_failed")
                (self.layout.path / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
                self.layout.write("base", [tar_of(ROOT)], CONFIG)

    def test_layers_of_honest_programs_are_the_same(self):
        """One tree as each of them packs it."""
        home = self.fresh("honest")
        inside = home / "root" / "srv"
        (inside / ("long" * 40) / ("name" * 40)).mkdir(parents=True)
        for name in ("plain", "gr\u00fc\u00dfe", "gru\u0308\u00dfe", os.fsdecode(b"latin-\xe9"), "long" * 40 + "/" + "name" * 40 + "/" + "x" * 90):
            (inside / name).write_bytes(os.fsencode(name))
        os.link(inside / "plain", inside / "second")
        os.symlink("long" * 40 + "/" + "name" * 40, inside / "link")
        os.mkfifo(inside / "pipe")
        os.setxattr(inside / "plain", "user.note", b"\0\xffx=y\n")
        if os.geteuid() == 0:
            os.chown(inside / "plain", 3_000_000, 4_000_000)
        layers = {}
        for form in ("gnu", "pax"):
            options = ["--xattrs", "--xattrs-include=*"] if form == "pax" else []
            layers[f"GNU tar, {form}"] = subprocess.run(["tar", f"--format={form}", *options, "-cf", "-", "-C", home / "root", "srv"],
                                                        capture_output=True, check=True).stdout
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            with tarfile.open(home / "python.tar", "w", format=form) as written:
                written.add(home / "root" / "srv", "srv", filter=self.with_attributes if form == tarfile.PAX_FORMAT else None)
            layers[f"Python, {form}"] = (home / "python.tar").read_bytes()
        for with_attributes in (False, True):
            of_kind = {name: layer for name, layer in layers.items() if with_attributes == (name in ("GNU tar, pax", f"Python, {tarfile.PAX_FORMAT}"))}
            for name, layer in of_kind.items():
                for other, master in of_kind.items():
                    with self.subTest(layer=name, master=other):
                        self.layout.write("base", [tar_of(ROOT), master], CONFIG)
                        self.put_below(layer)
                        self.assert_done(self.verify())

    @staticmethod
    def with_attributes(info):
        if info.name.endswith(("plain", "second")):
            info.pax_headers = {"SCHILY.xattr.user.note": b"\0\xffx=y\n".decode("utf-8", "surrogateescape")}
        return info


class OthersInTheArchive(TrainsealTest):
    """Images beside the train, in an archive that is written anew."""

    def put_beside(self, archive, manifest_text, **entry):
        """An image of one layer and its entry in the index; returns the names of its blobs."""
        with tarfile.open(archive) as tar:
            members = {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}
        added = []

        def blob(content):
            added.append(f"blobs/sha256/{hashlib.sha256(content).hexdigest()}")
            members[added[-1]] = content
            return {"digest": "sha256:" + added[-1].rpartition("/")[2], "size": len(content)}

        layer = blob(tar_of([member("other", b"another image")]))
        config = blob(json.dumps({"rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode())
        manifest = blob(manifest_text(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]})).encode())
        index = json.loads(members["index.json"])
        index["manifests"].append({**manifest, "annotations": {"org.opencontainers.image.ref.name": "other"}, **entry})
        members["index.json"] = json.dumps(index).encode()
        archive.write_bytes(tar_of([member(name, content) for name, content in members.items()]))
        return added

    def test_are_kept_whatever_their_descriptors_say(self):
        def same(text):
            return text

        def twice(text):
            return text[:-1] + ', "Layers": []}'

        manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json"}
        for name, (text, entry, passes) in {"no type": (same, {}, True), "an odd type": (same, {"mediaType": "application/json"}, True),
                                            "a manifest that cannot be understood": (twice, manifest, False),
                                            "a descriptor that is none": (same, {"size": "1"}, False)}.items():
            with self.subTest(other=name):
                train = journey.OwnTrain(self, journey.keys_of_sizes([2048, 2048]), CODE)
                images = FORMS["oci-archive"](train.home).make_base()
                self.assert_done(train.propose())
                self.assert_done(train.builder().run("build", train.home / "proposal.json", "--files", train.files, "--to", images.name()))
                added = self.put_beside(images.path, text, **entry)
                station = train.station(0)
                self.assert_done(station.run("pre-run", images.name(), "--out", train.home / "out"))
                before = images.path.read_bytes()
                outcome = station.run("post-run", images.name(), "--results", train.home / "out")
                if passes:
                    self.assert_done(outcome)
                    with tarfile.open(images.path) as tar:
                        self.assertEqual([blob for blob in added if blob not in tar.getnames()], [])
                else:
                    self.assert_refused(outcome, "store_failed")
                    self.assertEqual(images.path.read_bytes(), before)


if __name__ == "__main__":
    unittest.main()
