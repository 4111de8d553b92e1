"""All methods by name, each with its own parameter as docs/personalisation.md measures it.

Names as a command or a benchmark takes them. Knows nothing of rounds or people.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ml.federated.alpha import AlphaOptions
from ml.federated.gate import SLACK
from ml.federated.gated import Gated
from ml.federated.method import Method
from ml.federated.methods.alone import Alone, Chosen, Returned, Unchanged
from ml.federated.methods.apfl import Apfl
from ml.federated.methods.averaging import Averaged
from ml.federated.methods.ditto import Ditto
from ml.federated.methods.fedala import Fedala
from ml.federated.methods.hierarchical import Hierarchical
from ml.federated.methods.mixing import DrawnOnce, Mixed, SlowlyMixed
from ml.federated.methods.node_default import NodeAlone, NodeDefault
from ml.federated.methods.node_mix import NodeMix
from ml.federated.methods.partial import Partly, affine, biases, decoder, encoder

ALONE: Mapping[str, Method] = MappingProxyType(
    {
        "genesis": Unchanged(),
        "local": Alone(),
        "return-once": Returned(Alone()),
        "return-each": Alone("local, return to genesis every round", back=0.3),
        "return-chosen": Chosen(Alone()),
        "node-alone": NodeAlone(),
        "map": Alone("local, pulled to genesis for ever (MAP)", anchored=True),
    }
)
"""Without peers: the controls."""

TOGETHER: Mapping[str, Method] = MappingProxyType(
    {
        "fedavg": Averaged(),
        "fedavg-fine": Averaged(alone_from=7, name="FedAvg, then fine-tuning"),
        "mix50": Mixed(0.5, name="mix 50/50"),
        "mix70": Mixed(),
        "mix90": Mixed(0.9, name="mix 90/10"),
        "mix70-third": Mixed(every=3, name="mix 70/30 every third round"),
        "mix-slow": SlowlyMixed(),
        "drawn-once": DrawnOnce(),
        "mix70-gate": Mixed(rule=Gated(), slack=SLACK, name="70/30 with gate and slack"),
        "ditto": Ditto(),
        "apfl": Apfl(),
        "fedper": Partly(decoder, "FedPer, encoder shared"),
        "fedper-decoder": Partly(encoder, "FedPer, decoder shared"),
        "biases": Partly(biases, "private biases"),
        "affine": Partly(affine, "private affine output"),
        "fedala": Fedala(),
        "hierarchical": Hierarchical(),
        "node": NodeDefault(),
        "node-mix": NodeMix(),
        "node-mix-auto": NodeMix(name="node, mixing, alpha learnt slowly", learning=AlphaOptions()),
    }
)
"""With peers. Fine-tuning begins in round 7: half of twelve."""

METHODS: Mapping[str, Method] = MappingProxyType({**ALONE, **TOGETHER})
"""All of them."""
