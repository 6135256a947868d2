"""Images that nobody's tools make, in each form that lies in files: refused with the right code, and nothing is written."""
import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import unittest

from support import party, scratch, vectors
from support.case import TrainsealTest, unless_sanitized
from support.tars import END, block, member, pax, raw, tar_of

MIB = 1 << 20
NAME = "registry.example/3/t-17"


def link(name, target, kind=tarfile.SYMTYPE):
    return member(name, type=kind, linkname=target)


def folder(name):
    return member(name, type=tarfile.DIRTYPE, mode=0o755)


def sparse_tar(name):
    """A tar with a file that has holes, as GNU tar writes it."""
    home = scratch.fresh("sparse")
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(MIB)
        file.seek(MIB // 2)
        file.write(b"x")
    written = subprocess.run(["tar", "--sparse", "--format=gnu", "-cf", "-", "-C", home, name], capture_output=True, check=True).stdout
    scratch.remove(home)
    return written


def digest(content):
    return hashlib.sha256(content).hexdigest()


class Image:
    """A train's image that can be spoiled: its layers as blobs, what config and manifest say of them, and all of its JSON."""

    def __init__(self, layers):
        self.blobs = list(layers)
        self.tars = [layer if layer[:2] != b"\x1f\x8b" else None for layer in layers]
        self.diff_ids = [digest(tar if tar is not None else self.unpacked(blob)) for tar, blob in zip(self.tars, self.blobs)]
        self.types = [f"application/vnd.oci.image.layer.v1.tar{'+gzip' if tar is None else ''}" for tar in self.tars]
        self.edit_config = self.edit_manifest = self.edit_blobs = lambda json: None
        self.edit_index = lambda index, blob: None
        self.config_text = self.index_text = lambda text: text
        self.extra = {}

    @staticmethod
    def unpacked(blob):
        try:
            return gzip.decompress(blob)
        except (EOFError, OSError, ValueError):
            return b""

    def config(self):
        config = {"architecture": "amd64", "os": "linux", "config": {},
                  "rootfs": {"type": "layers", "diff_ids": [f"sha256:{identity}" for identity in self.diff_ids]}}
        self.edit_config(config)
        return self.config_text(json.dumps(config)).encode()

    def layout(self):
        """The layout's files by name."""
        files = dict(self.extra)

        def blob(content, kind):
            files[f"blobs/sha256/{digest(content)}"] = content
            return {"mediaType": kind, "digest": f"sha256:{digest(content)}", "size": len(content)}

        manifest = {"schemaVersion": 2, "config": blob(self.config(), "application/vnd.oci.image.config.v1+json"),
                    "layers": [blob(content, kind) for content, kind in zip(self.blobs, self.types)]}
        self.edit_manifest(manifest)
        entry = blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
        index = {"schemaVersion": 2, "manifests": [{**entry, "annotations": {"org.opencontainers.image.ref.name": tag}}
                                                   for tag in ("base", "latest")]}
        self.edit_index(index, blob)
        self.edit_blobs(files)
        files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
        files["index.json"] = self.index_text(json.dumps(index)).encode()
        return files

    def docker(self):
        """The members of an archive of Docker before 25."""
        config = self.config()
        members = {f"{digest(config)}.json": config}
        for number, blob in enumerate(self.blobs):
            members[f"layer-{number}/layer.tar"] = blob
        members["manifest.json"] = json.dumps([{"Config": f"{digest(config)}.json", "RepoTags": [f"{NAME}:base", f"{NAME}:latest"],
                                                "Layers": [f"layer-{number}/layer.tar" for number in range(len(self.blobs))]}]).encode()
        return members


def index_in_index(depth=1, platforms=("amd64",)):
    """An index that holds indices that hold the image."""
    def edit(index, blob):
        for entry in index["manifests"]:
            inner = {key: entry[key] for key in ("mediaType", "digest", "size")}
            for _ in range(depth):
                nested = {"schemaVersion": 2, "manifests": [{**inner, "platform": {"os": "linux", "architecture": each}} for each in platforms]}
                inner = blob(json.dumps(nested).encode(), "application/vnd.oci.image.index.v1+json")
            entry.update(inner)
    return edit


class Hostile(TrainsealTest):
    @classmethod
    def setUpClass(cls):
        basic = vectors.train("basic")
        cls.stop = basic.stops[1]
        cls.station_of = staticmethod(lambda: basic.station(cls.stop.station))
        written = io.BytesIO()
        with tarfile.open(fileobj=written, mode="w", format=tarfile.GNU_FORMAT) as tar:
            tar.add(cls.stop.received.opt, "opt")
        cls.train = written.getvalue()
        cls.base = tar_of([folder("usr"), member("usr/tool", b"kept")])

    def image(self, *more):
        return Image([self.base, self.train, *more])

    def setUp(self):
        self.station = self.station_of()
        self.home = self.fresh("hostile")

    def write_tar(self, path, members, format=tarfile.GNU_FORMAT):
        path.write_bytes(tar_of([*((member(name, content)) for name, content in members.items())], format))

    def put(self, image, form):
        """The image in a place of its own; returns the place and the image's name."""
        place = self.fresh("place")
        path = place / "image"
        if form == "oci":
            for name, content in image.layout().items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_bytes(content)
            return place, f"oci:{path}:latest"
        if form == "oci-archive":
            self.write_tar(path, image.layout())
            return place, f"oci-archive:{path}:latest"
        self.write_tar(path, image.docker())
        return place, f"docker-archive:{path}:{NAME}:latest"

    def refuse(self, place, name, codes):
        """Looking and running are refused with one of `codes`, and nothing is there that was not."""
        before = scratch.snapshot(place)
        for command in (["verify", name], ["pre-run", name, "--out", self.home / "out"]):
            outcome = self.station.run(*command)
            self.assertIn(outcome.code, codes, str(outcome))
            self.assert_refused(outcome, outcome.code)
            self.assertIn(outcome.exit, (3, 6), str(outcome))
            self.assertEqual(scratch.snapshot(place), before)
            self.assertEqual(os.listdir(self.home), [])
            self.assertEqual(os.listdir(self.station.home / "tmp"), [])
            self.assertEqual(os.listdir(self.station.state / "outbox") if (self.station.state / "outbox").exists() else [], [])

    def refuse_in_all_forms(self, image, codes, forms=("oci", "oci-archive", "docker-archive")):
        for form in forms:
            with self.subTest(form=form):
                self.refuse(*self.put(image, form), codes)

    def test_the_honest_image_passes(self):
        for form in ("oci", "oci-archive", "docker-archive"):
            _, name = self.put(self.image(), form)
            self.assert_done(self.station.run("verify", name))
            self.assert_done(self.station.run("pre-run", name, "--out", self.home / f"out-{form}"))

    def test_layers(self):
        train = "opt/pht_train/"
        layers = {
            "a name that climbs": (tar_of([member("opt/../../etc/passwd", b"x")]), ["hostile_path"]),
            "a name that climbs at once": (tar_of([member("../x", b"x")]), ["hostile_path"]),
            "a deep name": (tar_of([member("opt/" + "a/" * 300 + "b", b"x")]), ["hostile_path"]),
            "a long name": (tar_of([member("opt/" + "a" * 5000, b"x")]), ["hostile_path"]),
            "a hard link out of /opt": (tar_of([link(train + "x", "usr/tool", tarfile.LNKTYPE)]), ["hostile_path"]),
            "a hard link that climbs": (tar_of([link(train + "x", "../../etc/shadow", tarfile.LNKTYPE)]), ["hostile_path"]),
            "a hard link to nothing": (tar_of([link(train + "x", train + "nothing", tarfile.LNKTYPE)]), ["hostile_path"]),
            "/opt as a link": (tar_of([link("opt", "/etc")]), ["hostile_path"]),
            "/opt as a file": (tar_of([member("opt", b"x")]), ["hostile_path"]),
            "a member below a link": (tar_of([link("opt/pht_results", "/etc"), member("opt/pht_results/passwd", b"x")]), ["hostile_path"]),
            "the config as a link": (tar_of([link("opt/train_config.json", "/etc/passwd")]), ["hostile_path"]),
            "the results as a link": (tar_of([member("opt/.wh.pht_results"), link("opt/pht_results2", "x"), member("opt/pht_results2/y", b"")]), ["hostile_path"]),
            "a name twice": (tar_of([member(train + "x", b"1"), member(train + "x", b"2")]), ["hostile_path"]),
            "written and removed": (tar_of([member(train + "x", b"1"), member(train + ".wh.x")]), ["hostile_path"]),
            "removed and written": (tar_of([member(train + ".wh.x"), member(train + "x", b"1")]), ["hostile_path"]),
            "a removal of no name": (tar_of([member(train + ".wh.")]), ["hostile_path"]),
            "a removal that climbs": (tar_of([member(train + ".wh...")]), ["hostile_path"]),
            "a member in a removal": (tar_of([member(train + ".wh.x/y", b"1")]), ["hostile_path"]),
            "a device": (tar_of([member(train + "x", type=tarfile.CHRTYPE)]), ["hostile_path"]),
            "a pipe": (tar_of([member(train + "x", type=tarfile.FIFOTYPE)]), ["hostile_path"]),
            "a link in the train": (tar_of([link(train + "x", "/etc/passwd")]), ["hostile_path", "symlink_refused", "unlisted_file"]),
            "a file with holes": (sparse_tar("opt/pht_train/x"), ["store_failed"]),
            "a removed config": (tar_of([member("opt/.wh.train_config.json")]), ["config_invalid"]),
            "no tar": (os.urandom(4096), ["store_failed"]),
            "half a tar": (tar_of([member(train + "x", bytes(5000))])[:2000], ["store_failed"]),
            "a bomb": (gzip.compress(tar_of([member(train + "x", bytes(300 * MIB))])), ["store_failed"]),
            "half a gzip": (gzip.compress(tar_of([member(train + "x", os.urandom(5000))]))[:3000], ["store_failed", "digest_mismatch"]),
            "a long name that climbs": (tar_of([member(train + "x", b"1", pax_headers={"path": "../y"})], tarfile.PAX_FORMAT), ["hostile_path"]),
        }
        for name, (layer, codes) in layers.items():
            with self.subTest(layer=name):
                image = self.image(layer)
                # Unlisted files in the train are found without a key only by pre-run; verify never reads them.
                self.refuse_layer(image, codes)

    def refuse_layer(self, image, codes):
        for form in ("oci", "oci-archive", "docker-archive"):
            place, name = self.put(image, form)
            before = scratch.snapshot(place)
            outcome = self.station.run("pre-run", name, "--out", self.home / "out")
            self.assertIn(outcome.code, codes, f"{form}: {outcome}")
            self.assertIn(outcome.exit, (3, 6), str(outcome))
            self.assertEqual(scratch.snapshot(place), before)
            self.assertEqual(os.listdir(self.home), [])
            self.assertEqual(os.listdir(self.station.home / "tmp"), [])
            self.assertEqual(os.listdir(self.station.state / "outbox"), [])
            scratch.remove(place)

    def test_digests(self):
        def with_diff_id(number, identity):
            image = self.image()
            image.diff_ids[number] = identity
            return image
        self.refuse_in_all_forms(with_diff_id(1, "0" * 64), ["digest_mismatch"])
        self.refuse_in_all_forms(with_diff_id(1, digest(self.base)), ["digest_mismatch"])
        for what, change in {"changed": lambda blob: blob[:700] + bytes([blob[700] ^ 1]) + blob[701:], "cut": lambda blob: blob[:-512],
                             "longer": lambda blob: blob + b"x", "empty": lambda blob: b""}.items():
            for number, of in enumerate(("base", "train")):
                with self.subTest(blob=of, is_=what):
                    image = self.image()
                    name = f"blobs/sha256/{digest(image.blobs[number])}"
                    image.edit_blobs = lambda files, name=name, change=change: files.update({name: change(files[name])})
                    # What is changed may be no tar any more before its end, and its digest, are seen.
                    codes = ["digest_mismatch", "store_failed"] if what == "changed" else ["digest_mismatch"]
                    self.refuse_in_all_forms(image, codes, ("oci", "oci-archive"))
        for what in ("a layer", "the config", "the manifest"):
            with self.subTest(missing=what):
                image = self.image()
                def remove(files, what=what):
                    of = {"a layer": lambda content: content == self.train, "the config": lambda content: b'"rootfs"' in content[:4000],
                          "the manifest": lambda content: b'"layers": [' in content[:4000]}[what]
                    gone = [name for name, content in files.items() if name.startswith("blobs") and of(content)]
                    for name in gone:
                        del files[name]
                    assert gone
                image.edit_blobs = remove
                self.refuse_in_all_forms(image, ["store_failed"], ("oci", "oci-archive"))

    def test_manifests_and_indices(self):
        def spoilt(**edits):
            image = self.image()
            for name, edit in edits.items():
                setattr(image, name, edit)
            return image
        cases = {
            "a layer too many": (spoilt(edit_manifest=lambda manifest: manifest["layers"].append(manifest["layers"][0])), ["store_failed"]),
            "a layer too few": (spoilt(edit_manifest=lambda manifest: manifest["layers"].pop()), ["store_failed"]),
            "another size": (spoilt(edit_manifest=lambda manifest: manifest["layers"][1].update(size=1)), ["digest_mismatch"]),
            "a negative size": (spoilt(edit_manifest=lambda manifest: manifest["layers"][1].update(size=-1)), ["store_failed"]),
            "an enormous size": (spoilt(edit_manifest=lambda manifest: manifest["config"].update(size=1 << 60)), ["store_failed", "digest_mismatch"]),
            "a digest that climbs": (spoilt(edit_manifest=lambda manifest: manifest["config"].update(digest="sha256:../../index.json")), ["store_failed"]),
            "sha512": (spoilt(edit_manifest=lambda manifest: manifest["config"].update(digest="sha512:" + "0" * 128)), ["store_failed"]),
            "an unknown type of layer": (spoilt(edit_manifest=lambda manifest: manifest["layers"][1].update(mediaType="application/x")), ["store_failed"]),
            "600 layers": (spoilt(edit_manifest=lambda manifest: manifest.update(layers=[manifest["layers"][0]] * 600),
                                  edit_config=lambda config: config["rootfs"].update(diff_ids=[config["rootfs"]["diff_ids"][0]] * 600)), ["store_failed"]),
            "no layers": (spoilt(edit_manifest=lambda manifest: manifest.pop("layers")), ["store_failed"]),
            "no rootfs": (spoilt(edit_config=lambda config: config.pop("rootfs")), ["store_failed"]),
            "diff_ids that are none": (spoilt(edit_config=lambda config: config["rootfs"].update(diff_ids=[1, 2])), ["store_failed"]),
            "a config with a member twice": (spoilt(config_text=lambda text: text[:-1] + ', "Rootfs": {}}'), ["store_failed"]),
            "an object with too many members": (spoilt(config_text=lambda text: text[:-1] + "".join(f', "k{number}": 0' for number in range(80_000)) + "}"),
                                                ["store_failed"]),
            "very many values": (spoilt(config_text=lambda text: text[:-1] + ', "x": [' + "[]," * 700_000 + "[]]}"), ["store_failed"]),
            "two images of the name": (spoilt(edit_index=lambda index, blob: index["manifests"].append(index["manifests"][1])), ["store_failed"]),
            "an index in itself": (spoilt(edit_index=index_in_index(6)), ["store_failed"]),
            "two images for this machine": (spoilt(edit_index=index_in_index(1, ("amd64", "amd64"))), ["store_failed"]),
            "no image for this machine": (spoilt(edit_index=index_in_index(1, ("s390x",))), ["store_failed"]),
            "deep JSON": (spoilt(index_text=lambda text: text[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}"), ["store_failed"]),
            "large JSON": (spoilt(index_text=lambda text: text[:-1] + ', "x": "' + "x" * (5 * MIB) + '"}'), ["store_failed"]),
            "no JSON": (spoilt(index_text=lambda text: text[:-1]), ["store_failed"]),
            "an index with a member twice": (spoilt(index_text=lambda text: text[:-1] + ', "Manifests": []}'), ["store_failed"]),
        }
        for name, (image, codes) in cases.items():
            with self.subTest(case=name):
                self.refuse_in_all_forms(image, codes, ("oci", "oci-archive"))
        in_index = self.image()
        in_index.edit_index = index_in_index()
        for form in ("oci", "oci-archive"):
            self.assert_done(self.station.run("verify", self.put(in_index, form)[1]))

    def verify_within(self, image, **limits):
        """`verify` of a layout by a process that may have so many bytes."""
        _, name = self.put(image, "oci")
        return party.run(["verify", name], self.station.env, enter=["prlimit", *(f"--{limit}={most}" for limit, most in limits.items())])

    def test_small_images_do_not_fill_the_disk(self):
        """The scratch file has a limit; a process that writes more is killed."""
        for times in (20, 500):
            image = self.image(gzip.compress(tar_of([member("opt/pht_results/zeros", bytes(60 * MIB))])))
            for each in (image.blobs, image.tars, image.diff_ids, image.types):
                each += [each[-1]] * (times - 1)
            with self.subTest(times=times):
                self.assert_refused(self.verify_within(image, fsize=280 * MIB), "store_failed")

    @unless_sanitized
    def test_small_images_do_not_fill_the_memory(self):
        for name, layer in {"files": b"".join(block(f"opt/pht_results/{number}") for number in range(520_000)),
                            "removals": b"".join(block(f"opt/pht_results/.wh.{number}") for number in range(520_000)),
                            "long names": b"".join(pax(f"path=opt/pht_results/{number}/" + "x/" * 200 + "y" * 3000) + block("x") for number in range(50_000)),
                            "folders": b"".join(pax(f"path=opt/pht_results/{number}/" + "xxxxxxxxxxxxxxx/" * 250 + "x") + block("x") for number in range(1000))}.items():
            with self.subTest(many=name):
                image = self.image(gzip.compress(layer, 1))
                self.assert_refused(self.verify_within(image, data=500 * MIB), "hostile_path")

    @unless_sanitized
    def test_a_machine_without_memory_is_told_of(self):
        image = self.image(gzip.compress(b"".join(block(f"opt/files/{number}") for number in range(300_000)), 1))
        self.assert_refused(self.verify_within(image, data=40 * MIB), "internal")

    def test_what_costs_the_square_of_its_size_is_there_once(self):
        files = [member(f"opt/pht_results/{number}") for number in range(20_000)]
        image = self.image(gzip.compress(tar_of([*files, *[member("opt/pht_results/.wh..wh..opq")] * 20_000]), 1))
        self.refuse_in_all_forms(image, ["hostile_path"], ("oci",))

    def test_links_in_layouts(self):
        for name in ("index.json", "blobs/sha256"):
            place, image = self.put(self.image(), "oci")
            inside = place / "image" / name
            os.rename(inside, place / "elsewhere")
            os.symlink(place / "elsewhere", inside)
            self.refuse(place, image, ["hostile_path", "store_failed"])
        place, image = self.put(self.image(), "oci")
        blob = place / "image" / "blobs" / "sha256" / digest(self.train)
        blob.unlink()
        os.mkfifo(blob)
        self.refuse(place, image, ["hostile_path"])

    def test_manifests_of_docker(self):
        for name, entries in {
                "no list": {}, "an entry that is none": [1], "a config that is none": [{"Config": 1, "RepoTags": [f"{NAME}:latest"], "Layers": []}],
                "a layer that is none": [{"Config": "c.json", "RepoTags": [f"{NAME}:latest"], "Layers": [1]}],
                "names that are none": [{"Config": "c.json", "RepoTags": [1], "Layers": []}],
                "a layer that climbs": [{"Config": "c.json", "RepoTags": [f"{NAME}:latest"], "Layers": ["../../etc/passwd"]}],
                "the name twice": [{"Config": "c.json", "RepoTags": [f"{NAME}:latest"], "Layers": []}] * 2,
                "600 layers": [{"Config": "c.json", "RepoTags": [f"{NAME}:latest"], "Layers": ["layer-0/layer.tar"] * 600}]}.items():
            with self.subTest(case=name):
                place = self.fresh("place")
                members = self.image().docker()
                members["c.json"] = members[next(each for each in members if each.endswith(".json"))]
                members["manifest.json"] = json.dumps(entries).encode()
                self.write_tar(place / "image", members)
                self.refuse(place, f"docker-archive:{place / 'image'}:{NAME}:latest", ["store_failed", "hostile_path"])

    def test_an_archive_that_is_two_images(self):
        """Docker loads by manifest.json, and with containerd's store by index.json."""
        def both(image, other, annotations):
            files = {**other.layout(), **image.docker()}
            index = json.loads(files["index.json"])
            for entry in index["manifests"]:
                entry["annotations"] = annotations(entry["annotations"]["org.opencontainers.image.ref.name"])
            files["index.json"] = json.dumps(index).encode()
            return files

        changed = self.image(tar_of([member("usr/tool", b"evil")]))
        for what, annotations in {"the tag": lambda tag: {"org.opencontainers.image.ref.name": tag},
                                  "the name": lambda tag: {"org.opencontainers.image.ref.name": f"{NAME}:{tag}"},
                                  "containerd's": lambda tag: {"io.containerd.image.name": f"{NAME}:{tag}", "org.opencontainers.image.ref.name": "x"}}.items():
            for other, passes in ((self.image(), True), (changed, False)):
                with self.subTest(names=what, passes=passes):
                    place = self.fresh("place")
                    self.write_tar(place / "image", both(self.image(), other, annotations))
                    name = f"docker-archive:{place / 'image'}:{NAME}:latest"
                    if passes:
                        self.assert_done(self.station.run("verify", name))
                    else:
                        self.refuse(place, name, ["store_failed"])

    def test_outer_tars(self):
        def named(form):
            return {"oci-archive": "oci-archive:{}:latest", "docker-archive": "docker-archive:{}:" + NAME + ":latest"}[form]
        for form in ("oci-archive", "docker-archive"):
            files = self.image().layout() if form == "oci-archive" else self.image().docker()
            top = "index.json" if form == "oci-archive" else "manifest.json"
            whole = [member(name, content) for name, content in files.items()]
            rest = [each for each in whole if each[0].name != top]
            good = tar_of(whole)
            cases = {
                "a name that climbs": (tar_of([*whole, member("../x", b"x")]), ["hostile_path"]),
                "a name twice": (tar_of([*whole, member(top, files[top])]), ["hostile_path"]),
                "a device": (tar_of([*whole, member("x", type=tarfile.BLKTYPE)]), ["hostile_path"]),
                "a link out of it": (tar_of([*whole, link("x", "../../../etc/passwd")]), ["hostile_path"]),
                "an absolute link": (tar_of([*rest, link(top, "/etc/passwd")]), ["hostile_path"]),
                "a hard link out of it": (tar_of([*whole, link("x", "../x", tarfile.LNKTYPE)]), ["hostile_path"]),
                "a circle": (tar_of([*rest, link(top, "x"), link("x", top)]), ["hostile_path"]),
                "a link to nothing": (tar_of([*rest, link(top, "nothing")]), ["hostile_path"]),
                "a folder in its place": (tar_of([*rest, folder(top)]), ["hostile_path"]),
                "nothing in its place": (tar_of(rest), ["store_failed"]),
                "a file with holes": (sparse_tar("x"), ["store_failed"]),
                "a member in the content of a link": (pax("mtime=1") + block("x", b"1", 512 + 512, rest[0][0].name)
                                                      + raw(top, b"[]") + good, ["hostile_path"]),
                "an extended header, a global one, a member": (pax("path=x") + pax("comment=x", kind=b"g") + good, ["hostile_path"]),
                "a file that is cut": (good[:len(good) // 2], ["store_failed", "digest_mismatch"]),
                "no tar": (os.urandom(5000), ["store_failed"]),
                "an empty file": (b"", ["store_failed"]),
                "a compressed tar": (gzip.compress(good), ["store_failed"]),
                "a header without an end": (tar_of([member("x", b"", pax_headers={"comment": "x" * (9 * MIB)}), *whole], tarfile.PAX_FORMAT), ["store_failed"]),
                "too many members": (tar_of([*(member(f"x/{number}") for number in range(100_001))]), ["store_failed"]),
            }
            for name, (content, codes) in cases.items():
                with self.subTest(form=form, case=name):
                    place = self.fresh("place")
                    (place / "image").write_bytes(content)
                    self.refuse(place, named(form).format(place / "image"), codes)
            with self.subTest(form=form, case="a folder"):
                place = self.fresh("place")
                (place / "image").mkdir()
                self.refuse(place, named(form).format(place / "image"), ["store_failed"])
            with self.subTest(form=form, case="a pipe"):
                place = self.fresh("place")
                os.mkfifo(place / "image")
                self.refuse(place, named(form).format(place / "image"), ["store_failed"])


if __name__ == "__main__":
    unittest.main()
