"""Command lines that attacks are known for: a small table, each pattern with a line that it finds in the tests.

Patterns are searched in argv joined by blanks, in lower case. What stands anywhere after something else is a pattern of
its own, searched behind the first place of the other: joined by `.*`, each place of the one would be tried with each of
the other. The string is cut to MAX_CHARACTERS, so no argv takes long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from drift.alerts.domain.executed_downloads import executes_download
from drift.alerts.domain.program_names import name_set
from drift.alerts.domain.public_hosts import PUBLIC_HOST, PUBLIC_URL
from sensor import wire

MAX_CHARACTERS: Final = wire.MAX_ARGV_BYTES + wire.MAX_ARGV_ITEMS
"""What sensors send, with the blanks between; masks may make it longer."""
_PUBLIC_IPV4: Final = (
    r"(?<![\d.])(?<!(?<!/)/)"
    r"(?!(?:0|10|127|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01]))\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"
)
"""Private addresses stand in the command line of every other service, and what follows one `/` is a version."""

_SHELL: Final = r"(\S{0,40}/)?(ba|da|z|k|a)?sh\b"
_INTERPRETER: Final = r"\b(python[\d.]{0,6}|perl|ruby|php\d?)"
_CODE: Final = (
    r"\b(python[\d.]{0,6} (-([wx] )?\S{1,40} ){0,4}?-[bdeiopqsuv]{0,8}c|"
    r"perl (-(i )?\S{1,40} ){0,4}?-[alnpstuw\d]{0,8}e|"
    r"ruby (-([ir] )?\S{1,40} ){0,4}?-[alnpsw\d]{0,8}e |php[\d.]{0,6} (-([cd] )?\S{1,40} ){0,4}?-[nq]{0,2}r)"
)
"""An interpreter's option for code, alone or behind flags: not `-Wignore` or `-rbundler`, which end in its letter."""
_READS_CODE: Final = (
    rf"(\S{{0,40}}/)?({_INTERPRETER}|\b(node|bun|deno))( -[ubsix]{{1,4}}){{0,2}}(( -)? *($|[;&|)'\"])| - )"
)
"""An interpreter that is given no code but its input."""
_STARTER: Final = (
    r"(?:[({](?:[^|(){}]{0,100}[;&\n])?)? ?"
    r"(?:(?:sudo|doas|env|exec|command|nohup|nice|time|timeout|stdbuf|busybox|xargs|setsid|ionice|unshare|"
    r"chroot \S{1,40})"
    r"(?: (?:-\S{1,20}|-[behiklnv0]{0,4}[acdghkoprstuw] [\w.:/-]{1,32}|--(?:user|group|unset|chdir) [\w.:/-]{1,32}|"
    r"-i [{}%@]{1,2}|\d\w{0,8}|\w{1,20}=\S{0,40})){0,3} ){0,3}?"
)
"""What starts a program behind a pipe with the pipe as its input, also as `(cd /tmp; …)`."""
_NAMESPACE: Final = r"(-a|--all-namespaces|(-n|-o|--namespace|--output)[= ]?\S{1,64})"
_RANGE: Final = r"\d{1,3}(\.\d{1,3}){3}/([89]|1\d|2\d)"
_NOT_ITS_OWN: Final = r"\d(?<![\d./,]\d)" + "".join(
    rf"(?<!{word}[ =]\d)" for word in ("cidr", "cidrs", "subnet", "subnets", "routes", "proxies", "allow", "trusted")
)
"""The first digit of a range that is not what a server is told of its own network, nor the rest of a list."""
_SOUGHT: Final = r"(secret|passw|token|private|cred|akia|ghp_|glpat|wallet)"
_FILE_TYPES: Final = (
    r"(mp[34]|mkv|mov|avi|webm|wav|jpe?g|png|gif|webp|svg|pdf|docx?|xlsx?|csv|json|ya?ml|xml|html?|css|txt|md|log|"
    r"[cm]?[jt]sx?|py|rb|go|rs|java|php|sql|gz|zip|tar|parquet|avro)"
)
REMOTE_COPY: Final = (
    r"\b(copy|copyto|sync|move|moveto|put|upload) (-\S{1,80} (/dev/\S{1,40} )?){0,4}"
    r"/\S+ :?[a-z][\w-]*(,[^ :]{1,200})?:[\w.-]"
)
"""To `remote:bucket`, `:mega:bucket` or `:mega,user=a:bucket`, not to `s3://`."""
PATTERNS: Final[dict[str, tuple[str | tuple[str, str], ...]]] = {
    "miner": (
        r"stratum\+?(tcp|ssl|tls|1)?:",
        r"--donate-level",
        r"--(coin|algo)[= ](monero|xmr|rx/|cn/|randomx|ethash|kawpow)",
        r"\b(randomx|cryptonight|kawpow)\b",
        r"(minexmr|nanopool|supportxmr|moneroocean|nicehash|2miners|hashvault|f2pool|unmineable|c3pool)",
        r"\b[48][0-9a-z]{94}\b",  # a Monero address
        r"(^| )--?(a|algo|coin)[= ](ethash|etchash|autolykos|ghostrider|verus|progpow|octopus|equihash|xmr|rvn)",
        r"\b(herominers|flockpool|woolypooly|zpool|prohashing|kryptex)\.",
        (r"(^| )--pool[= ]", r" --(wallet|worker)[= ]"),
        (r"(^| )-o \S{1,100}:\d{2,5}(?= )", r" -u \S"),
    ),
    "tunnel": (
        r"\br:(socks|\d)",
        (
            r"(chisel|ligolo|frp[cs]|ngrok|iodine|dnscat|gost|rathole|bore|cloudflared) ",
            r"client|server|-c|tunnel|tcp|-l",
        ),
        r"(?<!py)socks5?[:@ ]",
        (r"\bssh ", r"-[rd] ?(\d{1,3}(\.\d{1,3}){3}:)?\d{1,5}(?![.\d])"),  # not `rsync -e ssh -r 10.1.2.3:/data`
    ),
    "reverse_shell": (
        r"/dev/(tcp|udp)/",
        r"(?<![\w.-])(nc|ncat|netcat|nc\.\w+)(?= )[^;&|]* (-e|-c|--exec)\b",
        (r"\bsocat\b", r"exec:"),
        r"(?<![\w.-])(ba|z|da)?sh -i\b",  # not `convert.sh -i in.csv`
        r"pty *\. *spawn",
        r"/inet/(tcp|udp)/|\bfsockopen\(|\bio::socket\b|\btcpsocket\b|-rsocket\b|\brequire\(?[\"']socket[\"']",
        rf"\b(nc|ncat|netcat|telnet|openssl s_client)\b[^|;&]{{0,200}}\| *{_SHELL}",
        (r"\bmkfifo [^;&|]{1,100}[;&]", r"\b(nc|ncat|netcat|telnet|openssl s_client)\b"),
    ),
    "offers_shell": (
        r"(^| )--?(e|c|exec|shell|pipe|cmd|command|spawn|run)[= ](/usr)?/bin/(ba|da|z|a|k)?sh(?! -\w{0,4}c\b)(?= |$)",
    ),
    "calls_home": (
        r" --?(relay|beacon|c2|call-?back|connect-?back|exfil|implant|dial)[= ]",
        r" --?(upload|send|post|webhook|ship|submit|drop|via)[= ]\S{0,20}://",
    ),
    "bare_address": (rf"{_PUBLIC_IPV4}[ :]\d{{2,5}}\b", rf"(?<=[ =@/]){_PUBLIC_IPV4}(?=[ :/?#]|$)"),
    "outside_address": (PUBLIC_URL,),
    "outside_host": (PUBLIC_HOST,),
    "credentials": (
        r"/var/run/secrets/(?!kubernetes\.io/serviceaccount/(ca\.crt|namespace)\b)",
        r"(?<!/var)/run/secrets/kubernetes(?!\.io/serviceaccount/(ca\.crt|namespace)\b)",
        r"169\.254\.169\.254|metadata\.google\.internal|fd00:ec2::254|169\.254\.170\.2",
        rf"\bget ({_NAMESPACE} ){{0,3}}(secrets?|sa|serviceaccounts?)\b(?!/)",  # not `vault kv get secret/app`
        r"/etc/shadow|/\.ssh/(?!known_hosts)|id_(rsa|ed25519|ecdsa)\b|\.aws/credentials|\.kube/config|\.docker/config",
        r"/proc/(\d+|\*|self)/(environ|mem)\b",
        r"\.(npmrc|netrc|pypirc|pgpass|git-credentials)\b",
        r"\bbegin [\w ]{0,20}private\b",
    ),
    "key_store": (r"(^| )(?!-d)\S*\.(jks|keystore|p12|pfx|kdbx)\b",),
    "secret_file": (
        # What precedes is looked at behind the literal: patterns that begin with one are searched five times as fast.
        r"wp-config\.php|/config/config\.php|grafana\.db|master\.key\b|/credentials\.xml\b|\.tfstate\b",
        r"/etc/kubernetes/(pki|admin\.conf)|\.vault-token\b|vault\.db\b|raft\.db\b|cookies\.sqlite\b|/etc/ssl/private/",
        r"wallet\.(dat|sso)\b|\.env(?<![^ /]\.env)( |$)|/run/secrets(?<![^ ]/run/secrets)( |$)",
    ),
    "seeks_secrets": (
        rf"--?(grep|search|match|find|pattern|regex|collect|harvest|loot)[= ]\S{{0,80}}{_SOUGHT}",
        (r"(^| )filesystem /", r" --(json|only-verified|no-update)\b"),
        r"--?(capture|record|log)[= -]?(keys|keyboard|keystrokes)\b|--keylog|--(print|dump|env)-(env|scan|secrets?)\b",
    ),
    "reads_memory": (
        (
            r"(^| )(--pids?(-of)?[= ]\S|-p[= ]?\d{1,7} )",
            r"\b(heap|anon|maps|strings|ranges|regions|grep)\b|\btrace=\S{0,40}\bread\b",
        ),
    ),
    "guesses": (
        r"(password-?spray|brute-?(user|force)|kerberoast|asreproast|secretsdump)",
        r"(rockyou|wordlists?|usernames|userlist)\.(txt|lst|dic)\b",
        (
            r" --?(u|l|users?|logins?)(-?(list|file))?[= ]\S{1,80}\.(txt|lst)\b",
            r" --?p(ass\w{0,8})?[= ]\S{1,80}\.(txt|lst)",
        ),
        r" -m \d{1,5} -a \d\b",
    ),
    "network_range": (rf"{_NOT_ITS_OWN}\d{{0,2}}(\.\d{{1,3}}){{3}}/([89]|1\d|2\d)\b",),
    "scan": (
        # A server has a trusted range and a port of its own too, so that one port counts only of what is no option's.
        (rf"(^| )(?!--)\S{{1,{MAX_CHARACTERS}}} {_RANGE}\b", r" -p ?\d|--port\b"),
        (rf"{_RANGE}\b", r"( -p ?|--port[= ])\d+[-,]\d|--ports\b|--(min-)?rate\b"),
        (r"\b(masscan|zmap|rustscan|nmap|fscan|pnscan) ", r"\d"),
        r"--(min-rate|top-ports)[= ]?\d",
    ),
    "escape": (
        r"\bnsenter\b|--target[= ]1(?![\w.])",
        r"/proc/(1|self)/root|/proc/sys/kernel/core_pattern|release_agent|notify_on_release",
        r"mount-disk|mount-cgroup|shim-pwn|runc-pwn|cap-dac-read-search",
        r"\bchroot /host",
    ),
    "loads_code": (r"ld_preload=| --?(inject|hook|preload)\b|insmod\b|\.ko( |$)",),
    "controller": (
        (r" -t [04](:\w{1,10})? ", r"\d{1,3}(\.\d{1,3}){3}( -?\d{1,5}){1,16}$"),
        r" --?write[-_]?(coils?|registers?|tags?|multiple|single)\b| --write[= ]db\d",
    ),
    "runtime_socket": (r"(docker|containerd|crio|podman)\.sock",),
    "encoded": (
        r"base64 (-d|--decode)",
        # Not `| python3 -m json.tool`.
        (r"(curl|wget) ", rf"(\|&?|>\() ?{_STARTER}({_SHELL}|(source|\.|eval) |{_READS_CODE})"),
        r"<\( ?(curl|wget)\b",
        (r"\beval\b", r"base64|curl|wget"),
        (_CODE, r"socket|exec|eval|urllib|base64|__import__"),
    ),
    "memory_file": (r"/(dev|run)/shm/\w",),
    "exfiltration": (
        REMOTE_COPY,
        (r"\bcurl\b", r" -t ?/|--upload-file|--data-binary @|-d @|-f \S+=@"),
        r"--post-file\b",
        r"//(transfer\.sh|file\.io)\b",
        (r"\b(curl|wget)\b", r" (transfer\.sh|file\.io)\b"),
        r"(anonfiles|gofile\.io|pastebin\.com|webhook\.site|\boast\.|api\.telegram\.org|/api/webhooks/)",
    ),
    "ransom": (
        (rf"(^| )--?ext(ension)?[= ]\.?(?!{_FILE_TYPES}\b)\w", r" --?(note|kill|threads)\b"),
        r"(?<![a-z])(restore|decrypt|recover|how_to|unlock)[_-][\w-]{1,40}\.(txt|hta)\b",
        r"(read_?me|how_?to)[_-](to_?)?(restore|decrypt|recover|unlock)[\w-]{0,40}\.(txt|hta|html?)\b",
        r"(?<![a-z])(restore|decrypt|recover|how_to|unlock)[_-](your|my|files?|data|instructions?)[\w-]{0,40}\.html?\b",
    ),
    "detached": (r"(^| )--?(daemon|daemonize|detach|detached|background)( |=|$)", r"(^| )nohup "),
    "hidden_file": (r"(?<=[ =,:@])/(tmp|var/tmp|(dev|run)/shm)/([\w.-]+/){0,8}\.\w",),
    "data_files": (
        r"/var/lib/(postgresql|mysql|mongodb|redis|elasticsearch|clickhouse|cassandra|mariadb)\b",
        r"\.(locked|encrypted|enc|crypt)\b(?!\.)",
    ),
}
"""What argv reveals, by the signal's name; of a pair, the second anywhere after the first."""
_COMPILED: Final = {
    name: re.compile("|".join(each for each in patterns if isinstance(each, str)) or r"(?!)")
    for name, patterns in PATTERNS.items()
}
_PAIRS: Final = {
    name: [(re.compile(each[0]), re.compile(each[1])) for each in patterns if not isinstance(each, str)]
    for name, patterns in PATTERNS.items()
}
_REMOTE_COPY: Final = re.compile(REMOTE_COPY)
_IFS: Final = re.compile(r"\$\{?ifs\}?(\$\d)?")
_BLANKS: Final = re.compile(r"\s+")
_DROPPED: Final = re.compile(r"""''|\"\"|\\(?=[a-z/])""")
_PLATFORM: Final = re.compile(r"[-_]?(v?\d|linux|amd64|x86)")
_VERSION: Final = frozenset({"--version", "-v", "-version", "version", "--help", "-h", "help", "-V"})
TOOLS: Final = name_set(
    """
    xmrig xmr-stak minerd cpuminer nbminer t-rex kinsing kdevtmpfsi sysrv watchbog pwnrig ccminer
    chisel frpc frps ligolo gost rathole iodine dnscat dnscat2 revsocks
    fscan pnscan medusa ncrack crackmapexec
    linpeas.sh linpeas pspy pspy32 pspy64 les.sh lse.sh traitor
    cdk deepce.sh deepce botb peirates kubeletctl kube-hunter amicontained
    sliver merlin mettle meterpreter tsh gsocket gs-netcat reptile diamorphine
    mimipenguin lazagne mimikatz kerbrute netexec nxc bloodhound sharphound secretsdump.py pwncat havoc kubesploit
    xmrigcc lolminer gminer teamredminer phoenixminer ethminer srbminer-multi bzminer pingtunnel wstunnel
    """
)
"""File names of tools that have no place in a production container. A name is easily changed; it is one signal."""
DUAL_USE: Final = name_set(
    "nmap masscan zmap rustscan hydra ngrok cloudflared trufflehog hashcat john sqlmap nuclei gobuster ffuf kdigger"
)
"""File names of tools that administrators and testers install too."""


def argv_signals(argv: Sequence[str]) -> list[str]:
    """Return the names of the patterns that a command line matches, as it is or as a shell reads it, in the table's
    order.
    """
    return list(_line_signals(" ".join(argv)[:MAX_CHARACTERS]))


@lru_cache(maxsize=256)
def _line_signals(text: str) -> tuple[str, ...]:
    # Cached, because each suppression rule asks again about the same event.
    line = text.lower()
    plain = _as_shells_read(line)
    lines = {line, _BLANKS.sub(" ", plain)}
    found = {name for name in PATTERNS if any(_holds(name, each) for each in lines)}
    if executes_download(plain):
        found.add("encoded")
    return tuple(name for name in PATTERNS if name in found)


def _holds(name: str, line: str) -> bool:
    if _COMPILED[name].search(line):
        return True
    firsts = ((first.search(line), then) for first, then in _PAIRS[name])
    return any(found and then.search(line, found.end()) for found, then in firsts)


def _as_shells_read(line: str) -> str:
    """Return the line without what shells drop between letters, and with blanks for $IFS: `c''at$IFS/etc/sh\\adow`."""
    return _DROPPED.sub("", _IFS.sub(" ", line))


def is_remote_copy(argv: Sequence[str]) -> bool:
    """Return whether files are copied as rclone does."""
    return _REMOTE_COPY.search(" ".join(argv)[:MAX_CHARACTERS].lower()) is not None


def only_asks_version(argv: Sequence[str]) -> bool:
    """Return whether a program is asked for nothing but its version or its help."""
    return len(argv) > 1 and all(each in _VERSION for each in argv[1:])


def attack_tool(name: str) -> str:
    """Return the known attack tool that a file name is; "" for others. Version and platform in it do not count."""
    return _tool(name, TOOLS)


def dual_use_tool(name: str) -> str:
    """Return the tool of administrators and attackers that a file name is; "" for others."""
    return _tool(name, DUAL_USE)


def _tool(name: str, tools: frozenset[str]) -> str:
    plain = name.lower()
    return next((each for each in (plain, _PLATFORM.split(plain, maxsplit=1)[0]) if each in tools), "")
