"""URLs that must be refused, most of them spellings of internal addresses.

`{port}` stands for the port of the server that must not be reached.
"""

from __future__ import annotations

import ipaddress

INSIDE_V4 = (
    "127.0.0.1", "127.0.0.0", "127.1.2.3", "127.255.255.255", "0.0.0.0", "0.1.2.3",
    "0.255.255.255", "10.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.0", "100.64.0.1",
    "100.100.100.200", "100.127.255.255", "168.63.129.16", "169.254.0.0", "169.254.0.23",
    "169.254.169.254", "169.254.169.253", "169.254.170.2", "169.254.255.255", "172.16.0.0",
    "172.17.0.1", "172.31.255.255", "192.0.0.0", "192.0.0.1", "192.0.0.8", "192.0.0.9",
    "192.0.0.10", "192.0.0.170", "192.0.0.192", "192.0.0.255", "192.0.2.1", "192.31.196.1",
    "192.52.193.1", "192.80.8.124", "192.88.99.0", "192.88.99.1", "192.88.99.255", "192.168.0.0",
    "192.168.1.1", "192.168.255.255", "192.175.48.1", "198.18.0.0", "198.19.255.255",
    "198.51.100.1", "203.0.113.255", "224.0.0.0", "224.0.0.251", "239.255.255.250", "240.0.0.1",
    "255.255.255.254", "255.255.255.255",
)  # fmt: skip
INSIDE_V6 = (
    "::", "::1", "::2", "::7f00:1", "::127.0.0.1", "::169.254.169.254", "::8.8.8.8",
    "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::ffff:10.0.0.1",
    "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "0:0:0:0:0:ffff:127.0.0.1",
    "0000:0000:0000:0000:0000:0000:0000:0001", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254",
    "64:ff9b::8.8.8.8", "64:ff9b:1::127.0.0.1", "64:ff9b:1::a9fe:a9fe", "100::1", "100:0:0:1::1",
    "1000::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:1::1", "2001:2::1",
    "2001:3::1", "2001:4:112::1", "2001:10::1", "2001:20::1", "2001:30::1", "2001:1ff::1",
    "2001:db8::1", "2002::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "2002:a00:1::1",
    "2002:808:808::1", "2620:4f:8000::1", "3ffe::1", "3fff::1", "3fff:fff::1", "4000::1",
    "5f00::1", "8000::1", "e000::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
    "fd00:c1::a9fe:a9fe", "fdff:ffff::1", "fe80::1", "fe80::a9fe:a9fe", "febf::1", "fec0::1",
    "fec0:0:0:ffff::1", "feff::1", "ff01::1", "ff02::1", "ff02::fb", "ff0e::1",
    "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1", "2a00:1450::5efe:a9fe:a9fe",
)  # fmt: skip
SPELLED = ("127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "8.8.8.8", "0.0.0.0")


def spellings(address: str) -> list[str]:
    """Ways to write an IPv4 address that inet_aton, browsers or libraries understand."""
    a, b, c, d = (int(part) for part in address.split("."))
    whole = int(ipaddress.IPv4Address(address))
    wide = address.translate({ord(str(n)): 0xFF10 + n for n in range(10)})
    circled = address.translate({ord(str(n)): 0x2460 + n - 1 for n in range(1, 10)})
    return [
        f"{whole}", f"0x{whole:x}", f"0X{whole:08X}", f"0{whole:o}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a:03}.{b:03}.{c:03}.{d:03}", f"{a}.{b}.{c * 256 + d}",
        f"{a}.{b * 65536 + c * 256 + d}", f"0x{a:x}.{b}.{c}.{d}", f"0{a:o}.{b}.{c}.{d}",
        f"{a}.{b}.0x{c * 256 + d:x}", f"{a}.{b}.{c}.0x{d:x}", f"{address}.", f"{address}..",
        f".{address}", f"{a}..{c}.{d}", f"{address}.0", f"{a}.{b}.{c}.{d + 256}",
        f"{whole + 2**32}", wide, address.replace(".", "。"), address.replace(".", "．"), circled,
        address.replace(".", "%2e"), f"%3{str(a)[0]}{address[1:]}", f"[{address}]", f"[::{address}",
        f"{address}%00", f"{address}%09.example", f"+{address}", f"{address}e0",
    ]  # fmt: skip


def _hosts() -> list[str]:
    hosts = [*INSIDE_V4, *(f"[{address}]" for address in INSIDE_V6)]
    for address in SPELLED:
        hosts += spellings(address)
    hosts += ["127.1", "127.0.1", "0", "0x0", "00", "1", "0x7f.1", "017700000001", "2130706433"]
    hosts += ["[::1%25lo]", "[::1%lo]", "[fe80::1%eth0]", "[::1", "::1", "::1]", "[]", "[::g]"]
    hosts += ["[v1.a]", "[127.0.0.1]", "[[::1]]", "[::1]a", "a[::1]", "[1:2:3:4:5:6:7:8:9]"]
    hosts += ["localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain.local"]
    hosts += ["metadata", "metadata.google.internal", "printer.local", "db.corp", "router.lan"]
    hosts += ["nas.home", "x.home.arpa", "wiki.intranet", "files.example.", "files..example"]
    hosts += [".files.example", "-a.example", "a-.example", "a b.example", "a_b", "*.example"]
    hosts += ["ｌocalhost", "loc\u00adalhost", "localhoſt", "ⓛocalhost.example", "files。example"]
    hosts += ["127.0.0.1.nip.example", "rebind.example", "inside.example"]  # hostile name servers
    hosts += [
        f"{'a' * 64}.example",
        f"{'a.' * 130}example",
        "example.0x7f",
        "example.1",
        "é.example",
    ]
    return hosts


def _forms(inside: str) -> list[str]:
    """Tricks around the authority."""
    return [
        f"http://{inside}@files.example:{{port}}/", f"http://files.example@{inside}/",
        f"http://files.example:80@{inside}/", f"http://u:p@{inside}/", f"http://@{inside}/",
        f"http://:@{inside}/", f"http://files.example\\@{inside}/",
        f"http://files.example\\.{inside}",
        f"http://{inside}\\@files.example/", f"http:\\\\{inside}/", f"http:/\\{inside}/",
        f"http:/{inside}/", f"http:{inside}/", f"http:///{inside}/", f"http:////{inside}/",
        f"//{inside}/", f"///{inside}/", f"/{inside}", f"{inside}", f"://{inside}/",
        f"http://{inside}:/", f"http://{inside}:0{{port}}/", f"http://{inside}:+{{port}}/",
        f"http://{inside}:{{port}} /", f" http://{inside}/", f"http://{inside}/ ",
        f"http://{inside} /",
        f"http://\t{inside}/", f"ht\ntp://{inside}/", f"http://{inside}\n/",
        f"http://{inside}\r\n/",
        f"http://{inside}/\r\nHost:%20evil", f"http://{inside}/a\x00b", f"\x00http://{inside}/",
        f"http://{inside}\u200b/", f"http://\u202e{inside}/", f"\ufeffhttp://{inside}/",
        f"http://{inside}\u3000/", f"http://{inside}\u2028/", f"http://{inside}#@files.example/",
        f"http://{inside}?@files.example/", f"http://{inside};@files.example/",
        f"http://files.example&@{inside}/", f"http://files.example,{inside}/", f"http://{inside},/",
        f"http://files.example%23@{inside}/", f"http://files.example%2f@{inside}/",
        f"http://files.example%00.{inside}/", f"http://foo@{inside}@files.example/",
        f"http://[files.example@{inside}]/", f"http://[::1]@{inside}/",
        f"http://[::ffff:{inside}]/",
        f"HTTP://{inside}/", f"http://{inside}:443/", f"http://{inside}/%2e%2e/",
        f"hTTp://{inside}",
    ]  # fmt: skip


_SCHEMES = (
    "file", "ftp", "ftps", "gopher", "dict", "ldap", "ldaps", "tftp", "sftp", "scp", "ssh", "smb",
    "telnet", "jar", "netdoc", "php", "phar", "expect", "data", "blob", "about", "javascript", "ws",
    "wss", "s3", "gs", "azure", "hdfs", "rtsp", "rtmp", "mms", "concat", "subfile", "pipe", "unix",
    "http+unix", "httpx", "htt", "view-source", "url:http", "feed", "git", "nfs", "tcp", "udp",
)  # fmt: skip
_OTHER = (
    "", " ", "http", "http:", "http:/", "http://", "https://", "https:///", "http://?", "http://#",
    "http://:{port}/", "http://:80", "file:///etc/passwd", "file:/etc/passwd", "/etc/passwd",
    "C:\\x.wav", "\\\\server\\share\\x.wav", "data:audio/wav;base64,UklGRg==", "data:,x",
    "about:blank", "javascript:alert(1)", "mailto:a@example.com", "s3:voices/a.wav", "../a.wav",
    "http://files.example:99999/", "http://files.example:-1/", "http://files.example:8 0/",
    "http://files.example:0/", "http://files.example:{port}:80/", "http://files.example:٨٠/",
    "http://files.example:0x50/", "http://files.example:80a/", "http://files.example:22/",
    "http://files.example:6379/", "https://files.example:25/", "http://files.example:8080/",
    "http://files.example/" + "a" * 9000, "http://files.example/\ud800", "http://files.example/a b",
)  # fmt: skip


def cases() -> list[str]:
    """All URLs, each once, in a fixed order."""
    urls = [f"http://{host}:{{port}}/latest/meta-data/" for host in _hosts()]
    urls += [f"https://{host}/x.wav" for host in _hosts()]
    for inside in ("127.0.0.1", "169.254.169.254"):
        urls += _forms(f"{inside}:{{port}}") + _forms(inside)
    urls += [f"{scheme}://127.0.0.1:{{port}}/x.wav" for scheme in _SCHEMES]
    return list(dict.fromkeys([*urls, *_OTHER]))
