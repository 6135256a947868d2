"""Making trains that nobody should make: what an insider with the symmetric key can do."""
import hashlib
import json
import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def encrypt(key, plaintext):
    """IV ‖ AES-256-CBC with PKCS#7 (PROTOCOL §3)."""
    pad = 16 - len(plaintext) % 16
    iv = os.urandom(16)
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + cipher.update(plaintext + bytes([pad]) * pad) + cipher.finalize()


def decrypt(key, blob):
    cipher = Cipher(algorithms.AES(key), modes.CBC(blob[:16])).decryptor()
    padded = cipher.update(blob[16:]) + cipher.finalize()
    return padded[:-padded[-1]]


def edit_config(opt, change):
    """Applies `change` to the parsed config and writes it back."""
    path = Path(opt) / "train_config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config, indent=2))
    return config


def flip(path, position=0):
    """Flips one bit of a file."""
    content = bytearray(Path(path).read_bytes())
    content[position] ^= 1
    Path(path).write_bytes(content)


def load_key(pem_file, password=None):
    return serialization.load_pem_private_key(Path(pem_file).read_bytes(), password.encode() if password else None)


def sign_immutable(config, plaintexts, creator, builder, query=b""):
    """Fills in `hash` and both signatures over it (PROTOCOL §4)."""
    digest = hashlib.sha512()
    for part in (str(config["creator"]["id"]).encode(), *plaintexts, bytes.fromhex(config["session_id"]), query):
        digest.update(part)
    signature = creator.sign(digest.digest(), padding.PKCS1v15(), hashes.SHA512())
    config["hash"] = digest.hexdigest()
    config["signature"] = signature.hex()
    config["build"]["signature"] = builder.sign(digest.digest() + signature, padding.PKCS1v15(), hashes.SHA512()).hex()
