//! A lamp that only remembers, for tests and simulations.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Lamp, LightError};
use crate::light::Frame;

/// Remembers the frames that it showed. Clones remember together.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Vec<Frame>>>);

impl Memory {
    /// The frames since the last time this was asked.
    pub fn taken(&self) -> Vec<Frame> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lamp for Memory {
    fn show(&mut self, frame: &Frame) -> Result<(), LightError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(*frame);
        Ok(())
    }
}
