"""Verifies a published log, or a proof from one, with nothing but Python.

Written from the texts of C2SP (signed-note, tlog-checkpoint, tlog-tiles, tlog-proof), RFC 6962 and RFC 8032, and from
no code of this repository:

    python3 verify_log.py VKEY FOLDER         # a folder with `checkpoint` and `tile/`
    python3 verify_log.py VKEY x.tlog-proof   # one record

VKEY counts by its key: a log signs under its own origin. Prints what it found as JSON; exit 1 says what is wrong.
"""

import base64
import hashlib
import json
import os
import sys


class Wrong(Exception):
    """Something is not as the log signed it."""


# Ed25519, RFC 8032 section 5.1.7, slow and plain.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    return P - x if (x & 1) != sign else x


def add(a, b):
    one = (a[1] - a[0]) * (b[1] - b[0]) % P
    two = (a[1] + a[0]) * (b[1] + b[0]) % P
    three = 2 * a[3] * b[3] * D % P
    four = 2 * a[2] * b[2] % P
    e, f, g, h = two - one, four - three, four + three, two + one
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, point):
    sum_ = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            sum_ = add(sum_, point)
        point = add(point, point)
        scalar >>= 1
    return sum_


def decode_point(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519_verifies(key, message, signature):
    a, r = decode_point(key), decode_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or a is None or r is None or s >= L:
        return False
    hashed = hashlib.sha512(signature[:32] + key + message).digest()
    left, right = times(s, BASE), add(r, times(int.from_bytes(hashed, "little") % L, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# Signed notes and checkpoints.


def read_vkey(text):
    name, key_id, key = text.strip().split("+", 2)
    key = base64.b64decode(key, validate=True)
    if key[:1] != b"\x01" or len(key) != 33:
        raise Wrong("the verifier key is not Ed25519")
    if make_key_id(name, key[1:]).hex() != key_id:
        raise Wrong("the id of the verifier key does not belong to it")
    return key[1:]


def make_key_id(name, key):
    return hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]


def open_checkpoint(note, key):
    """Origin, size and root, once a signature line of the key in the name of the origin has verified."""
    if any(byte < 0x20 and byte != 0x0A for byte in note):
        raise Wrong("a control character in the checkpoint")
    text, blank, signatures = note.decode().rpartition("\n\n")
    if not blank or not signatures.endswith("\n"):
        raise Wrong("the checkpoint is no signed note")
    text += "\n"
    origin, size, root = text.split("\n")[:3]
    if not size.isdigit() or str(int(size)) != size:
        raise Wrong("the size of the checkpoint is no number")
    verified = False
    for line in signatures[:-1].split("\n"):
        dash, name, signature = line.split(" ")
        if dash != "\u2014":
            raise Wrong("a line that is no signature")
        signature = base64.b64decode(signature, validate=True)
        if name != origin or signature[:4] != make_key_id(origin, key):
            continue
        if not ed25519_verifies(key, text.encode(), signature[4:]):
            raise Wrong("the checkpoint's signature does not verify")
        verified = True
    if not verified:
        raise Wrong("the key has not signed the checkpoint")
    return origin, int(size), base64.b64decode(root, validate=True)


# The Merkle tree of RFC 6962.


def leaf_hash(data):
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(tree_hash(hashes[:split]), tree_hash(hashes[split:]))


def root_from_inclusion(index, size, leaf, proof):
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        raise Wrong("the index is beyond the checkpoint")
    place, last, node = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            raise Wrong("the proof is too long")
        if place & 1 or place == last:
            node = node_hash(beside, node)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            node = node_hash(node, beside)
        place, last = place >> 1, last >> 1
    if last:
        raise Wrong("the proof is too short")
    return node


# Tiles.


def tile_path(folder, level, number, width):
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03}")
    path = os.path.join(folder, "tile", str(level), *parts)
    return path if width == 256 else os.path.join(f"{path}.p", str(width))


def read_tile(folder, level, number, width):
    for width in (width, 256):
        try:
            with open(tile_path(folder, level, number, width), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            pass
    raise Wrong(f"tile {level}/{number} is not there")


def read_level(folder, level, count):
    """The hashes of a level, tile by tile."""
    for number in range((count + 255) // 256):
        width = min(256, count - 256 * number)
        tile = read_tile(folder, level, number, width)
        if len(tile) < 32 * width:
            raise Wrong(f"tile {level}/{number} is too short")
        yield [tile[32 * at : 32 * at + 32] for at in range(width)]


def read_entries(folder, number, width):
    bundle, at, entries = read_tile(folder, "entries", number, width), 0, []
    while len(entries) < width:
        end = at + 2 + int.from_bytes(bundle[at : at + 2], "big")
        if end > len(bundle) or at + 2 > len(bundle):
            raise Wrong(f"entry bundle {number} is too short")
        entries.append(bundle[at + 2 : end])
        at = end
    return entries


def verify_folder(folder, key):
    with open(os.path.join(folder, "checkpoint"), "rb") as file:
        origin, size, root = open_checkpoint(file.read(), key)
    # Entries to leaf hashes; leaf hashes to level 0; every full tile to its hash one level up.
    hashes, events = [], []
    for number in range((size + 255) // 256):
        width = min(256, size - 256 * number)
        for entry in read_entries(folder, number, width):
            hashes.append(leaf_hash(entry))
            leaf = json.loads(entry)
            if leaf["index"] != len(hashes) - 1:
                raise Wrong(f"record {len(hashes) - 1} calls itself {leaf['index']}")
            events.append(leaf["event"])
    level, below, tiles = 0, hashes, 0
    while below:
        above = []
        for number, tile in enumerate(read_level(folder, level, len(below))):
            tiles += 1
            if tile != below[256 * number : 256 * number + 256]:
                raise Wrong(f"tile {level}/{number} does not belong to what is below it")
            if len(tile) == 256:
                above.append(tree_hash(tile))
        level, below = level + 1, above
    if tree_hash(hashes) != root:
        raise Wrong("the entries are not those that the checkpoint signs")
    return {"origin": origin, "size": size, "tiles": tiles, "first": events[:1], "last": events[-1:]}


def verify_proof(path, key):
    with open(path, "rb") as file:
        head, blank, note = file.read().partition(b"\n\n")
    lines = head.decode().split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1" or not blank:
        raise Wrong("not a tlog-proof")
    extra = base64.b64decode(lines.pop(0).removeprefix("extra "), validate=True)
    index = int(lines.pop(0).removeprefix("index "))
    proof = [base64.b64decode(line, validate=True) for line in lines]
    origin, size, root = open_checkpoint(note, key)
    # The record stands last in the extra data, as the bytes that were hashed.
    record = extra[extra.index(b'"record":') + len(b'"record":') : -1]
    if root_from_inclusion(index, size, leaf_hash(record), proof) != root:
        raise Wrong("the record does not stand there")
    return {"origin": origin, "size": size, "index": index, "record": json.loads(record)}


def main():
    key, path = read_vkey(sys.argv[1]), sys.argv[2]
    verify = verify_folder if os.path.isdir(path) else verify_proof
    print(json.dumps(verify(path, key)))


if __name__ == "__main__":
    try:
        main()
    except (Wrong, ValueError, KeyError, OSError) as wrong:
        sys.exit(f"wrong: {wrong}")
