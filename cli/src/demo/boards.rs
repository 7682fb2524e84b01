//! The boards that the demo pretends to have: those of a real classroom bramble, then larger ones.

use api::Memory;

/// What a virtual Pi lends a node: its name, its memory and its cores. The architecture stays the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Board {
    /// The short form in node names.
    pub(super) short: &'static str,
    /// The board in people's words.
    pub(super) model: &'static str,
    /// The memory that is fitted.
    pub(super) memory: Memory,
    /// Its cores.
    pub(super) cores: u16,
}

const fn board(short: &'static str, model: &'static str, memory_mib: u32) -> Board {
    Board {
        short,
        model,
        memory: Memory::from_mib(memory_mib),
        cores: 4,
    }
}

const PI_3B_PLUS: Board = board("pi-3b-plus", "Raspberry Pi 3 Model B Plus", 1024);
const PI_3B: Board = board("pi-3b", "Raspberry Pi 3 Model B", 1024);
const PI_2B: Board = board("pi-2b", "Raspberry Pi 2 Model B", 1024);

const fn pi_4b(memory_mib: u32) -> Board {
    board("pi-4b", "Raspberry Pi 4 Model B", memory_mib)
}

const fn pi_5(memory_mib: u32) -> Board {
    board("pi-5", "Raspberry Pi 5", memory_mib)
}

/// The first four are the classroom's; those after them repeat.
const CLASSROOM: [Board; 4] = [PI_3B_PLUS, PI_3B, PI_3B_PLUS, PI_2B];
const LARGER: [Board; 6] = [
    pi_4b(2048),
    pi_5(4096),
    pi_4b(4096),
    pi_5(8192),
    pi_4b(1024),
    pi_5(2048),
];

/// The board of the virtual Pi number `index`, counted from zero.
pub(super) fn lent_to(index: usize) -> Board {
    match index.checked_sub(CLASSROOM.len()) {
        None => CLASSROOM[index],
        Some(beyond) => LARGER[beyond % LARGER.len()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_nodes_are_the_classroom_with_a_gigabyte_each() {
        let shorts: Vec<_> = (0..4).map(|i| lent_to(i).short).collect();
        assert_eq!(shorts, ["pi-3b-plus", "pi-3b", "pi-3b-plus", "pi-2b"]);
        assert!((0..4).all(|i| lent_to(i).memory == Memory::from_mib(1024)));
    }

    #[test]
    fn there_is_a_board_for_any_number_of_nodes() {
        assert_eq!(lent_to(4).short, "pi-4b");
        assert_eq!(lent_to(5).short, "pi-5");
        assert_eq!(lent_to(4 + 6), lent_to(4));
    }
}
