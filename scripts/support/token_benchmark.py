"""The token benchmark: signatures and unwraps per second through a bare Cryptoki loop and through ours, beside `openssl speed`.

The token is SoftHSM. Everything is measured in turns, several rounds, and the fastest of each counts. Ours verifies each
signature and removes and checks each padding; the bare loop does neither.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from party import ROOT, SOFTHSM, Failed, Party, need_program

SPEED = ROOT / "build/release/tests/bench/token_speed"
WAYS = ["bare", "direct", "worker-cryptoki", "worker-libp11"]
OPERATIONS = ["sign", "unwrap"]
BITS = [2048, 3072, 4096]
THREADS = [1, 2, 8]


def main():
    options = parse_options()
    need_program()
    seconds = 0.3 if options.small else 2
    with tempfile.TemporaryDirectory(prefix="trainseal-bench-", dir="/dev/shm") as folder:
        party = make_party(Path(folder))
        rates, openssl, starts = {}, {}, {}
        for number in range(options.repeat):
            print(f"round {number + 1} of {options.repeat}", file=sys.stderr)
            for bits in BITS[:1] if options.small else BITS:
                openssl[bits] = max(openssl.get(bits, 0), openssl_speed(bits, seconds))
                for operation in OPERATIONS:
                    for threads in THREADS:
                        for way in WAYS:
                            key = (bits, operation, threads, way)
                            rates[key] = max(rates.get(key, 0), rate(party, *key, seconds))
            for _ in range(3 if options.small else 20):
                for way in WAYS:
                    starts[way] = min(starts.get(way, 1e9), start(party, way))
    print_report(rates, openssl, starts)
    if options.json:
        Path(options.json).write_text(json.dumps(report(rates, openssl, starts), indent=2) + "\n")


def parse_options():
    parser = argparse.ArgumentParser(prog="bench token", description="signatures and unwraps per second, by backend and threads")
    parser.add_argument("--small", action="store_true", help="short, one key size, for a quick trial")
    parser.add_argument("--repeat", type=int, metavar="N", help="rounds, the fastest counts (3; small: 1)")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE as well")
    options = parser.parse_args()
    options.repeat = options.repeat or (1 if options.small else 3)
    return options


def make_party(folder):
    """A SoftHSM token with a key of each size, and the trials of all of them in the state folder."""
    party = Party("bench", folder)
    party.make_token()
    for bits in BITS:
        label = f"rsa-{bits}"
        party.trainseal("key", "generate", "--token", "pkcs11:token=bench", "--label", label, "--bits", bits)
        party.trainseal("token", "probe", "--key", f"pkcs11:token=bench;object={label}")
    return party


def environment(party, bits):
    return {
        **party.environment,
        "TRAINSEAL_MODULE": SOFTHSM,
        "TRAINSEAL_BENCH_TOKEN": "bench",
        "TRAINSEAL_BENCH_KEY": f"rsa-{bits}",
        "TRAINSEAL_BENCH_PIN": party.pin_file.read_text(),
        "TRAINSEAL_BENCH_TRIALS": str(party.folder / "state"),
    }


def run(command, env=None):
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise Failed(f"exit {done.returncode} of: {' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def rate(party, bits, operation, threads, way, seconds):
    return float(run([SPEED, way, operation, threads, seconds], environment(party, bits)))


def start(party, way):
    """Seconds from the start of a process to the end of one that has signed once."""
    env = environment(party, 3072)
    before = time.perf_counter()
    run([SPEED, way, "sign", 1, 0], env)
    return time.perf_counter() - before


def openssl_speed(bits, seconds):
    """Private-key operations per second in one thread of one process."""
    output = run(["openssl", "speed", "-mr", "-seconds", max(1, round(seconds)), f"rsa{bits}"])
    return float(next(line for line in output.splitlines() if line.startswith("+F2:")).split(":")[3])


def ratio(rates, key):
    return rates[key] / rates[(*key[:3], "bare")]


def report(rates, openssl, starts):
    measured = [
        {"bits": key[0], "operation": key[1], "threads": key[2], "way": key[3], "per_second": value, "of_bare": ratio(rates, key)}
        for key, value in rates.items()
    ]
    return {"openssl_private_per_second": openssl, "rates": measured, "start_to_first_signature_ms": {w: s * 1e3 for w, s in starts.items()}}


def print_report(rates, openssl, starts):
    print("operations per second, and the share of the bare Cryptoki loop; openssl: private-key operations in one thread\n")
    print(f"{'key':9} {'operation':9} {'threads':>7} {'openssl':>8} {'bare':>8}" + "".join(f" {way:>22}" for way in WAYS[1:]))
    for bits, operation, threads in dict.fromkeys(key[:3] for key in rates):
        cells = f"RSA-{bits:<5} {operation:9} {threads:7} {openssl[bits]:8,.0f} {rates[(bits, operation, threads, 'bare')]:8,.0f}"
        for way in WAYS[1:]:
            key = (bits, operation, threads, way)
            cells += f" {rates[key]:15,.0f} ({ratio(rates, key):.2f})"
        print(cells)
    print("\nstart of a process to its end after one signature, RSA-3072, trial cached (ms)")
    for way, seconds in starts.items():
        print(f"  {way:16} {seconds * 1e3:6.1f}   {(seconds - starts['bare']) * 1e3:+.1f}")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        print(f"\nbench: {failure}", file=sys.stderr)
        sys.exit(1)
