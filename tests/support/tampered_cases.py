"""What becomes of each tampered case (tests/data/README.md)."""

# PROTOCOL §5, by the step that refuses.
REFUSED = {
    # 1. parsing
    "index-gap": "config_invalid",
    "session-shift-at-start": "config_invalid",
    # 3. creator's and builder's signatures
    "hash-flip": "signature_invalid",
    "user-signature-flip": "signature_invalid",
    "builder-signature-flip": "signature_invalid",
    # 3. exactly the stops before mine are signed, and result fields are there if and only if I am not first
    "stop0-signature-null": "not_my_turn",
    "result-hash-null": "not_my_turn",
    "result-hash-absent-plain-results": "not_my_turn",
    "result-signature-null": "not_my_turn",
    # 3. each earlier stop's signature over its digest
    "stop0-digest-flip": "signature_invalid",
    "stop0-signature-flip": "signature_invalid",
    "stop1-digest-flip": "signature_invalid",
    "stop1-signature-flip": "signature_invalid",
    # 3. the last completed stop's digest, recomputed
    "stop0-signature-from-other-train": "chain_invalid",
    "stop-dropped": "chain_invalid",
    "result-hash-flip": "chain_invalid",
    # 3. result_signature, then user_sym_key.key
    "result-signature-flip": "signature_invalid",
    "user-key-file-flip": "chain_invalid",
    "creator-encrypted-key-flip": "chain_invalid",
    # 6. contents
    "encrypted-key-flip": "decrypt_failed",
    "immutable-flip": "decrypt_failed",
    "immutable-removed": "decrypt_failed",
    "query-flip": "decrypt_failed",
    "result-empty-blob": "decrypt_failed",
    "result-extra-encrypted": "decrypt_failed",
    "result-extra-garbage": "decrypt_failed",
    "result-flip-body": "decrypt_failed",
    "result-flip-padding": "decrypt_failed",
    "result-removed": "decrypt_failed",
    "result-truncated-16": "decrypt_failed",
    "result-truncated-7": "decrypt_failed",
    "result-wrong-padding": "decrypt_failed",
    # 7. unlisted files
    "immutable-extra": "unlisted_file",
}

# Refused by a station that has trust (PROTOCOL §7).
REFUSED_WITH_TRUST = {"all-forged": "untrusted_key", "creator-key-replaced": "untrusted_key"}
# Refused by a station that has earlier stages to compare with (§8).
REFUSED_WITH_PREVIOUS = {"immutable-renamed": "chain_invalid"}
# What the format can't show at all (§8).
ACCEPTED = ["immutable-boundary-moved", "result-boundary-moved", "result-extra-empty", "result-renamed"]

# What verify says of them, which has no private key and no stop of its own.
VERIFY = {name: code for name, code in REFUSED.items() if code != "decrypt_failed"}
# It hashes no names, and a train without a single result field is one that nobody has run.
VERIFY |= {"immutable-extra": None, "result-hash-absent-plain-results": None}

# Found before the token is used at all: by everything but the contents. Names are looked at before, too.
FOUND_WITHOUT_TOKEN = [name for name, code in REFUSED.items() if code != "decrypt_failed"]
