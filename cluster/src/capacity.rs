//! What a node has for replicas, and what they ask for: memory and CPU *requests*, never what happens to be free.

use std::collections::BTreeMap;

use api::{Cpu, FunctionSpec, Memory, NodeFacts, NodeId};

use crate::state::{Replica, State};

/// Memory and CPU together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Memory.
    pub memory: Memory,
    /// CPU.
    pub cpu: Cpu,
}

impl Amounts {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_add(other.memory),
            cpu: self.cpu.saturating_add(other.cpu),
        }
    }

    /// What is left after taking `other` away; never below zero.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self {
            memory: self.memory.saturating_sub(other.memory),
            cpu: self.cpu.saturating_sub(other.cpu),
        }
    }

    /// Whether both are at most those of `room`.
    pub fn fits(self, room: Self) -> bool {
        self.memory <= room.memory && self.cpu <= room.cpu
    }
}

/// CPU that no replica may count on: agent, gateway and engine take about a tenth of one core under load.
const CPU_RESERVE: Cpu = Cpu::from_millis(100);

/// Memory that no replica may count on, of the `memory` that the operating system sees.
///
/// The system, the engine and this program take about 150 MiB where the system is trimmed for a board with 512 MB,
/// 200 MiB on boards with 1 GB; larger boards get a tenth, at least 256 MiB, because they run more at a time.
fn memory_reserve(memory: Memory) -> Memory {
    // Firmware and graphics take their share first: a board with 512 MB shows up to 490 MiB, one with 1 GB up to
    // 970 MiB, one with 2 GB more than 1800 MiB.
    if memory <= Memory::from_mib(640) {
        Memory::from_mib(150)
    } else if memory <= Memory::from_mib(1536) {
        Memory::from_mib(200)
    } else {
        Memory::from_bytes(memory.bytes() / 10).max(Memory::from_mib(256))
    }
}

/// All that replicas on such a node may ask for together.
pub fn for_replicas(facts: &NodeFacts) -> Amounts {
    Amounts {
        memory: facts.memory.saturating_sub(memory_reserve(facts.memory)),
        cpu: facts.cpu.saturating_sub(CPU_RESERVE),
    }
}

/// What one replica of `spec` asks for.
pub fn request(spec: &FunctionSpec) -> Amounts {
    Amounts {
        memory: spec.memory_request(),
        cpu: spec.cpu_request(),
    }
}

/// What `replica` asked for when it was placed.
pub fn request_of(replica: &Replica) -> Amounts {
    Amounts {
        memory: replica.memory,
        cpu: replica.cpu,
    }
}

/// What the replicas on each node ask for together; draining ones count until they are gone.
pub fn requested(state: &State) -> BTreeMap<NodeId, Amounts> {
    let mut requested: BTreeMap<NodeId, Amounts> = BTreeMap::new();
    for replica in state.replicas().values() {
        let sum = requested.entry(replica.node).or_default();
        *sum = sum.plus(request_of(replica));
    }
    requested
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::facts;

    fn memory_for_replicas(mib: u32) -> Memory {
        for_replicas(&facts(1, mib)).memory
    }

    #[test]
    fn the_system_keeps_its_share_of_every_size_of_board() {
        assert_eq!(memory_for_replicas(429), Memory::from_mib(279));
        assert_eq!(memory_for_replicas(924), Memory::from_mib(724));
        assert_eq!(memory_for_replicas(1850), Memory::from_mib(1594));
        assert_eq!(memory_for_replicas(8000), Memory::from_mib(7200));
    }

    #[test]
    fn eleven_functions_of_the_usual_size_fit_on_a_board_with_one_gigabyte() {
        let each = Memory::from_mib(64).bytes();
        assert_eq!(memory_for_replicas(924).bytes() / each, 11);
    }

    #[test]
    fn a_board_that_is_smaller_than_the_reserve_has_nothing_and_not_less() {
        assert_eq!(memory_for_replicas(100), Memory::ZERO);
    }
}
