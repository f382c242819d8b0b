//! Conditions under which a check fails: `retained>500MB`, `objects(app.cache.Entry)>=10000`.
//!
//! ```text
//! retained>SIZE           some suspect keeps more
//! retained(OBJECT)>SIZE   so much would be freed with the object
//! share>PERCENT           some suspect keeps a larger share of the heap
//! suspects>N              there are more suspects
//! garbage>SIZE            a full collection would free more
//! heap>SIZE               all objects together are larger
//! objects(TYPE)>N         there are more instances, of subclasses not counted
//! bytes(TYPE)>SIZE        these are larger
//! ```
//!
//! Knows the grammar; refuses to know how anything is measured.

use super::amount::{AmountError, parse_count, parse_share, parse_size};

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Bytes that the largest suspect keeps.
    Retained,
    /// Bytes that would be freed with the object of this name.
    RetainedBy(String),
    /// Share that the largest suspect keeps, in basis points.
    Share,
    /// Number of suspects.
    Suspects,
    /// Bytes that a full collection would free.
    Garbage,
    /// Bytes of all objects.
    Heap,
    /// Instances of the types of this name.
    Objects(String),
    /// Bytes of the instances of the types of this name.
    Bytes(String),
}

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// As it was written.
    pub text: String,
    /// What is measured.
    pub measure: Measure,
    /// `>=` instead of `>`.
    pub or_equal: bool,
    /// In the unit of what is measured.
    pub threshold: u64,
}

/// A condition that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// There is no `>`.
    #[error("{0}: a condition is MEASURE>THRESHOLD or MEASURE>=THRESHOLD, such as retained>500MB")]
    NoComparison(String),
    /// Nothing is called so.
    #[error(
        "{text}: nothing is measured by {measure}; there are retained, retained(OBJECT), share, suspects, garbage, heap, \
         objects(TYPE) and bytes(TYPE)"
    )]
    UnknownMeasure {
        /// The condition.
        text: String,
        /// What stands before `>`.
        measure: String,
    },
    /// The threshold is none.
    #[error("{text}: {source}")]
    Threshold {
        /// The condition.
        text: String,
        /// Why.
        source: AmountError,
    },
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// It is none; what is expected.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let text = text.trim();
        // A name may have one in a key; thresholds have none.
        let (measure, threshold) =
            text.rsplit_once('>').ok_or_else(|| ConditionError::NoComparison(text.to_owned()))?;
        let (or_equal, threshold) = match threshold.strip_prefix('=') {
            Some(threshold) => (true, threshold.trim()),
            None => (false, threshold.trim()),
        };
        let measure = Self::measure(text, measure.trim())?;
        let amount = match measure {
            Measure::Share => parse_share(threshold).map(u64::from),
            Measure::Suspects | Measure::Objects(_) => parse_count(threshold),
            Measure::Retained
            | Measure::RetainedBy(_)
            | Measure::Garbage
            | Measure::Heap
            | Measure::Bytes(_) => parse_size(threshold),
        };
        let threshold =
            amount.map_err(|source| ConditionError::Threshold { text: text.to_owned(), source })?;
        Ok(Self { text: text.to_owned(), measure, or_equal, threshold })
    }

    fn measure(text: &str, measure: &str) -> Result<Measure, ConditionError> {
        let unknown =
            || ConditionError::UnknownMeasure { text: text.to_owned(), measure: measure.to_owned() };
        let (name, argument) = match measure.split_once('(') {
            Some((name, rest)) => (name.trim(), Some(rest.strip_suffix(')').ok_or_else(unknown)?.trim())),
            None => (measure, None),
        };
        match (name, argument) {
            ("retained", None) => Ok(Measure::Retained),
            ("share", None) => Ok(Measure::Share),
            ("suspects", None) => Ok(Measure::Suspects),
            ("garbage", None) => Ok(Measure::Garbage),
            ("heap", None) => Ok(Measure::Heap),
            (_, Some("")) => Err(unknown()),
            ("retained", Some(object)) => Ok(Measure::RetainedBy(object.to_owned())),
            ("objects", Some(type_)) => Ok(Measure::Objects(type_.to_owned())),
            ("bytes", Some(type_)) => Ok(Measure::Bytes(type_.to_owned())),
            _ => Err(unknown()),
        }
    }

    /// Whether it holds for a value, in the unit of what is measured.
    pub fn holds(&self, value: u64) -> bool {
        value > self.threshold || self.or_equal && value == self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_has_its_unit() {
        for (text, measure, threshold) in [
            ("retained>500MB", Measure::Retained, 500_000_000),
            (
                "retained(app.cache.D['a>b']) > 1KiB",
                Measure::RetainedBy("app.cache.D['a>b']".to_owned()),
                1024,
            ),
            ("share>20%", Measure::Share, 2000),
            ("suspects>0", Measure::Suspects, 0),
            ("garbage>10MB", Measure::Garbage, 10_000_000),
            ("heap>1GiB", Measure::Heap, 1 << 30),
            ("objects(app.cache.Entry)>10000", Measure::Objects("app.cache.Entry".to_owned()), 10_000),
            ("bytes( dict )>1", Measure::Bytes("dict".to_owned()), 1),
        ] {
            let condition = Condition::parse(text).expect(text);
            assert_eq!((condition.measure, condition.threshold), (measure, threshold), "{text}");
        }
    }

    #[test]
    fn a_bound_is_exceeded_or_reached() {
        let [above, reached] = ["suspects>2", "suspects>=2"].map(|text| Condition::parse(text).expect(text));
        assert!(!above.holds(2) && above.holds(3));
        assert!(!reached.holds(1) && reached.holds(2));
    }

    #[test]
    fn what_is_no_condition_is_refused_with_what_would_be_one() {
        for (text, part) in [
            ("retained", "MEASURE>THRESHOLD"),
            ("retained<5", "MEASURE>THRESHOLD"),
            ("retained>much", "much is no size"),
            ("share>2GB", "2GB is no share"),
            ("objects(dict)>1MB", "1MB is no number"),
            ("objects>5", "nothing is measured by objects;"),
            ("objects()>5", "nothing is measured by objects();"),
            ("objects(dict>5", "nothing is measured by objects(dict;"),
            ("leaks>5", "nothing is measured by leaks;"),
            ("", "MEASURE>THRESHOLD"),
        ] {
            let said = Condition::parse(text).expect_err(text).to_string();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
