"""Many people learning together in one process: everybody's rounds, on a virtual clock, from one seed."""

from ml.federated.simulation.settings import RoundFacts, SimulationSettings, Topology
from ml.federated.simulation.simulation import Simulation
from ml.federated.simulation.traces import Traces

__all__ = ["RoundFacts", "Simulation", "SimulationSettings", "Topology", "Traces"]
