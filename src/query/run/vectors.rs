//! Intermediate results of metric queries: for each step the samples, with the label sets they
//! refer to held once.

use std::collections::HashMap;

use crate::model::Labels;

/// Samples by step. What an operation does to a label set is worked out once a set, not once a
/// sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vectors {
    pub labels: Vec<Labels>,
    /// `(index into labels, value)`, one list a step.
    pub steps: Vec<Vec<(u32, f64)>>,
}

/// A value that an expression has at all steps.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Scalar(f64),
    Vectors(Vectors),
}

impl Vectors {
    pub fn new(steps: usize) -> Self {
        Vectors { labels: Vec::new(), steps: vec![Vec::new(); steps] }
    }

    /// The same value at each step, without labels.
    pub fn constant(value: f64, steps: usize) -> Self {
        Vectors { labels: vec![Labels::default()], steps: vec![vec![(0, value)]; steps] }
    }

    pub fn labels(&self, id: u32) -> Labels {
        self.labels.get(id as usize).cloned().unwrap_or_default()
    }

    pub fn push(&mut self, step: u32, id: u32, value: f64) {
        if let Some(samples) = self.steps.get_mut(step as usize) {
            samples.push((id, value));
        }
    }

    pub fn samples(&self) -> usize {
        self.steps.iter().map(Vec::len).sum()
    }
}

/// Gives numbers to label sets.
#[derive(Debug, Default)]
pub struct LabelIds {
    ids: HashMap<Labels, u32>,
    pub labels: Vec<Labels>,
}

impl LabelIds {
    pub fn id(&mut self, labels: Labels) -> u32 {
        let next = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        *self.ids.entry(labels).or_insert_with_key(|labels| {
            self.labels.push(labels.clone());
            next
        })
    }
}
