//! Semidominators: for each node the earliest one from which a path leads to it over later nodes only.
//!
//! Knows the forest of Lengauer and Tarjan, with path compression; refuses to know the graph.

use rayon::prelude::*;

use super::VIRTUAL_ROOT;
use super::search::FromLater;

/// One node of the forest of nodes processed so far, all by search number.
#[derive(Clone, Copy, Debug)]
struct Link {
    /// Some proper ancestor: the parent at first, then higher as paths are compressed.
    ancestor: u32,
    /// The smallest semidominator on the way from the node up to, not including, its ancestor.
    least: u32,
}

/// Completes `semi`, which knows the edges from parents and other ancestors, with the edges from later nodes.
///
/// Nodes are processed from the last to the first. Being linked to one's parent once processed is no step of its own:
/// a node has been processed if its number is above the one at hand.
pub fn complete(parent: &[u32], semi: &mut [u32], from_later: FromLater) {
    let links = parent.par_iter().zip(&*semi).map(|(&ancestor, &least)| Link { ancestor, least });
    let mut forest = Forest { links: links.collect(), way: Vec::new() };
    from_later.each_downwards(|number, sources| {
        let Some(semi) = semi.get_mut(number as usize) else { return };
        for &source in sources {
            if *semi == VIRTUAL_ROOT {
                break;
            }
            *semi = forest.least_above(source, number).min(*semi);
        }
        if let Some(link) = forest.links.get_mut(number as usize) {
            link.least = *semi;
        }
    });
}

struct Forest {
    links: Vec<Link>,
    /// The nodes on the way up being compressed.
    way: Vec<u32>,
}

impl Forest {
    /// The smallest semidominator among `number` and those of its ancestors that have been processed, which are the
    /// ones with a number above `current`. All nodes on the way are then linked to the first one beyond it.
    #[inline]
    fn least_above(&mut self, number: u32, current: u32) -> u32 {
        let mut top = number;
        let mut link = self.at(top);
        while link.ancestor > current {
            self.way.push(top);
            top = link.ancestor;
            link = self.at(top);
        }
        while let Some(passed) = self.way.pop() {
            if let Some(below) = self.links.get_mut(passed as usize) {
                link.least = link.least.min(below.least);
                *below = link;
            }
        }
        link.least
    }

    #[inline]
    fn at(&self, number: u32) -> Link {
        let none = Link { ancestor: VIRTUAL_ROOT, least: VIRTUAL_ROOT };
        self.links.get(number as usize).copied().unwrap_or(none)
    }
}
