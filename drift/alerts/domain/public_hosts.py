"""A pattern for URLs whose host is in a public domain, unlike the services of a cluster. Pure."""

from __future__ import annotations

from typing import Final

_COUNTRIES: Final = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf cg
ch cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg gh gi gl gm
gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz
la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl
no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss
st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za
zm zw
"""
_GENERIC: Final = """
com net org info biz edu gov mil int arpa onion xyz top site online club icu vip win work link click buzz rest fun cyou
sbs cfd bond monster quest lol mom pics hair skin beauty boats zip mov space website press host pro mobi name life world
today email digital agency center company guru stream download racing loan men date party review trade bid science gdn
webcam accountant faith cricket ninja rocks zone page run art blog wiki asia tel travel studio
design solutions technology example
"""
"""The common ones, and those that attackers like; `example` stands for any of them in planted attacks."""
_NAMESPACES_TOO: Final = (
    "app bank chat ci cloud data dev games live media network news prod qa security services shop social store support "
    "systems team tech tools"
)
"""In a host of two labels these are more often a namespace, as in `http://cart.shop`."""


def _any(names: str) -> str:
    return "|".join(names.split())


_END: Final = r"\.?(?![\w.-])"
PUBLIC_URL: Final = (
    r"://([^\s/?#@]{0,256}@)?"
    rf"([\w.-]*\.(xn--[a-z0-9-]{{2,59}}|{_any(_COUNTRIES)}|{_any(_GENERIC)})|[\w-]{{1,63}}\.[\w.-]*\.({_any(_NAMESPACES_TOO)})){_END}"
)
"""Known top-level domains alone: `payments.billing` and `svc.prod.mesh` are services."""
PUBLIC_HOST: Final = (
    rf"(^|(?<=[ =@]))([a-z0-9][\w-]{{0,62}}\.){{1,8}}({_any(_COUNTRIES)}|{_any(_GENERIC)}):\d{{2,5}}(?![\w.])"
)
"""The same of `host:port`, as tunnels and miners are given it."""
