//! A member says what became of the records that it has.

use super::partition::{SharePartition, Unsaved};
use super::records::{Record, RecordState};
use crate::group::MemberId;
use crate::types::{Moment, Offset};
use std::ops::Range;

/// What a member says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcknowledgeType {
    /// There is no such record.
    Gap,
    /// It is done.
    Accept,
    /// Somebody else shall try it.
    Release,
    /// Nobody shall try it again.
    Reject,
    /// It takes longer (KIP-1222, version 2 of the requests).
    Renew,
}

/// What a member says of neighbouring records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    offsets: Range<Offset>,
    /// One for all, or one for each.
    types: Vec<AcknowledgeType>,
}

/// Why nothing was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeError {
    /// The member does not have the record, or had it for too long.
    #[error("the member has not acquired the record at offset {at}")]
    InvalidRecordState {
        /// The first such offset.
        at: Offset,
    },
    /// The request contradicts itself.
    #[error("{0}")]
    InvalidRequest(&'static str),
}

impl AcknowledgeType {
    /// The type with Kafka's number.
    #[must_use]
    pub fn parse(number: i8) -> Option<AcknowledgeType> {
        Some(match number {
            0 => AcknowledgeType::Gap,
            1 => AcknowledgeType::Accept,
            2 => AcknowledgeType::Release,
            3 => AcknowledgeType::Reject,
            4 => AcknowledgeType::Renew,
            _ => return None,
        })
    }
}

impl Acknowledgement {
    /// An acknowledgement batch as a request has it, both ends included.
    pub fn parse(
        first_offset: i64,
        last_offset: i64,
        types: &[i8],
    ) -> Result<Acknowledgement, AcknowledgeError> {
        let invalid = |reason| Err(AcknowledgeError::InvalidRequest(reason));
        if first_offset < 0 || last_offset < first_offset || last_offset == i64::MAX {
            return invalid("an acknowledgement's offsets are no range");
        }
        let records = last_offset - first_offset + 1;
        if types.is_empty() {
            return invalid("an acknowledgement has no type");
        }
        if types.len() > 1 && i64::try_from(types.len()) != Ok(records) {
            return invalid("an acknowledgement has neither one type nor one for each record");
        }
        let Some(types) = types.iter().map(|number| AcknowledgeType::parse(*number)).collect() else {
            return invalid("there is no such acknowledge type");
        };
        Ok(Acknowledgement { offsets: Offset(first_offset)..Offset(last_offset + 1), types })
    }

    /// The records that it is about.
    #[must_use]
    pub fn offsets(&self) -> Range<Offset> {
        self.offsets.clone()
    }

    /// Whether it asks for more time, which version 1 does not know.
    #[must_use]
    pub fn renews(&self) -> bool {
        self.types.contains(&AcknowledgeType::Renew)
    }

    /// Neighbours of the same type.
    fn runs(&self) -> impl Iterator<Item = (Range<Offset>, AcknowledgeType)> {
        let one_for_all = self.types.len() == 1;
        let mut from = self.offsets.start;
        self.types.chunk_by(PartialEq::eq).map(move |same| {
            let until = if one_for_all { self.offsets.end } else { from + same.len() as i64 };
            let run = (from..until, same[0]);
            from = until;
            run
        })
    }
}

impl SharePartition {
    /// Does what the member says of all these records or, if it must not say it of one of them, of none: it is told
    /// one thing of the whole partition. What lies before the start is finished by others or gone, and passed over.
    pub fn acknowledge(
        &mut self,
        now: Moment,
        member_id: &MemberId,
        acknowledgements: &[Acknowledgement],
    ) -> Result<(), AcknowledgeError> {
        self.on_time(now);
        let mut end_of_last = Offset(i64::MIN);
        for acknowledgement in acknowledgements {
            if acknowledgement.offsets.start < end_of_last {
                return Err(AcknowledgeError::InvalidRequest("acknowledgements overlap or do not ascend"));
            }
            end_of_last = acknowledgement.offsets.end;
            self.check_acquired(member_id, &acknowledgement.offsets)?;
        }
        for acknowledgement in acknowledgements {
            for (offsets, acknowledge_type) in acknowledgement.runs() {
                self.settle(now, &offsets, acknowledge_type);
            }
        }
        self.records.advance();
        Ok(())
    }

    fn check_acquired(&self, member_id: &MemberId, offsets: &Range<Offset>) -> Result<(), AcknowledgeError> {
        if offsets.end > self.records.end() {
            return Err(AcknowledgeError::InvalidRequest("an acknowledgement is past what was acquired"));
        }
        let foreign = self.records.within(offsets).find(|(_, record)| !record.is_with(member_id));
        match foreign {
            None => Ok(()),
            Some((offsets, _)) => Err(AcknowledgeError::InvalidRecordState { at: offsets.start }),
        }
    }

    fn settle(&mut self, now: Moment, offsets: &Range<Offset>, acknowledge_type: AcknowledgeType) {
        let limit = self.config.delivery_count_limit;
        let deadline_if_renewed = now + self.config.lock_duration;
        let settled = |record: &Record| {
            Some(match acknowledge_type {
                AcknowledgeType::Accept => record.now(RecordState::Acknowledged),
                AcknowledgeType::Release => record.given_back(limit),
                AcknowledgeType::Gap | AcknowledgeType::Reject => record.now(RecordState::Archived),
                AcknowledgeType::Renew => record.renewed(deadline_if_renewed),
            })
        };
        if self.records.change(offsets, settled) && acknowledge_type != AcknowledgeType::Renew {
            self.mark(Unsaved::Outcomes);
        }
    }
}
