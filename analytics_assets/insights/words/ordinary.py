"""Words that are also names, and words that name nobody.

Belongs here: the two word lists of the dictionary scrubber, with the reason for each. Invariant:
a word is listed only where masking it everywhere would make conversations unreadable.
"""

from __future__ import annotations

# Given names, family names, organisations and handles that are also everyday English: masked only
# where they are capitalised inside a sentence.
ORDINARY_WORDS = frozenset(
    """
    able art august baker banks bell berry best bill bird bishop black blank block bloom bond
    book booth bridge bright brook brooks brown buck bush butler case cash chance chase church
    clay cole cook cross day dean dee dial dice dollar drew drop east english faith fall fast
    field fields fish flower ford forest fox frank free french frost gates gene glass gold
    good grace grant gray green grey grove hall hand hope house hunt hunter iris ivory jack
    jade january jewel joy june just justice kay key king knight lake lane large law lay light
    lily link little long love low major march mark marks mason may mercy merit miles miller
    mine mint moon moody more moss may north novel olive page pages park parker parks patience
    paul pearl pen penny piper pitch place pool pope post power powers price prince queen rain
    ray read reason reed rich rivers robin rock rose ruby rush sage sandy sharp short silver
    singer small smart snow son south spark speed spring square stack star steel stone storm
    story street strong stripe summer sunny target teal temple terry the thorn tree true
    turner van vale violet wade walker wall ward waters watt way weeks wells west white will
    wills wise wolf wood woods worth young
    """.split()  # noqa: SIM905 - two hundred quoted words would not be readable
)

# Local parts, handles and host names that stand for a function or a technology, not for someone.
GENERIC_WORDS = frozenset(
    """
    account accounts admin administrator alerts api app assistant backend billing bot build cloud
    contact customer data database default demo deploy dev docker docs email example frontend git
    github gitlab google guest hello help home info internal java javascript jobs kubernetes linux
    localhost login mail main marketing master name news node noreply none null office ops owner
    postgres press prod production project python react root rust sales sandbox security server
    service shop staging support system team test testing tests typescript unknown user username
    users web webmaster website windows www
    """.split()  # noqa: SIM905
)
