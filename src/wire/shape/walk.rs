//! The walk itself: a cursor that only moves forward, and a count of elements.

use super::{ELEMENTS_MAX, Field, Kind, Null, Shape, ShapeError};

/// Follows `shape` through `body`, to the end of its last field.
pub(super) fn walk(shape: &Shape, version: i16, body: &[u8]) -> Result<usize, ShapeError> {
    let mut walk = Walk::new(shape, version, body);
    walk.fields(shape.fields)?;
    Ok(walk.position)
}

struct Walk<'a> {
    body: &'a [u8],
    position: usize,
    /// The body's end, or that of the tagged field being walked.
    end: usize,
    version: i16,
    flexible: bool,
    elements: usize,
    #[cfg(test)]
    arrays: Vec<usize>,
}

/// Where the counts of the arrays stand that are not null.
#[cfg(test)]
pub(super) fn array_positions(shape: &Shape, version: i16, body: &[u8]) -> Vec<usize> {
    let mut walk = Walk::new(shape, version, body);
    walk.fields(shape.fields).expect("the body follows the shape");
    walk.arrays
}

impl<'a> Walk<'a> {
    fn new(shape: &Shape, version: i16, body: &'a [u8]) -> Walk<'a> {
        Walk {
            body,
            position: 0,
            end: body.len(),
            version,
            flexible: version >= shape.flexible_from,
            elements: 0,
            #[cfg(test)]
            arrays: Vec::new(),
        }
    }

    fn fields(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.is_in(version)) {
            self.kind(field.kind)?;
        }
        if self.flexible { self.tagged_fields(fields) } else { Ok(()) }
    }

    fn kind(&mut self, kind: Kind) -> Result<(), ShapeError> {
        match kind {
            Kind::Fixed(bytes) => self.skip(bytes),
            Kind::Text(null) => {
                let position = self.position;
                let length = if self.flexible { self.compact(null)? } else { self.short(null)? };
                // Kafka's strings have 16-bit lengths, compact ones too: a name that is copied stays small.
                if length.is_some_and(|length| length > i16::MAX as usize) {
                    return Err(ShapeError::IllegalLength { position });
                }
                self.skip(length.unwrap_or(0))
            }
            Kind::Blob(null) => {
                let length = self.length(null)?;
                self.skip(length.unwrap_or(0))
            }
            Kind::Array(null, element) => self.array(null, element),
            Kind::Struct(fields) => self.fields(fields),
            Kind::OptionalStruct(fields) => match self.byte()? {
                0x01 => self.fields(fields),
                0xff => Ok(()),
                _ => Err(ShapeError::IllegalLength { position: self.position - 1 }),
            },
        }
    }

    fn array(&mut self, null: Null, element: &'static Kind) -> Result<(), ShapeError> {
        #[cfg(test)]
        let position = self.position;
        let Some(count) = self.length(null)? else { return Ok(()) };
        #[cfg(test)]
        self.arrays.push(position);
        // Every element takes a byte at least.
        self.must_hold(count)?;
        self.count_elements(count)?;
        if let Kind::Fixed(bytes) = element {
            return self.skip(count.saturating_mul(*bytes));
        }
        (0..count).try_for_each(|_| self.kind(*element))
    }

    fn tagged_fields(&mut self, fields: &'static [Field]) -> Result<(), ShapeError> {
        let count = self.varint()? as usize;
        self.must_hold(count.saturating_mul(2))?;
        self.count_elements(count)?;
        let mut next_tag = 0;
        for _ in 0..count {
            let tag = self.varint()?;
            let size = self.varint()? as usize;
            self.must_hold(size)?;
            if tag < next_tag {
                return Err(ShapeError::IllegalTag { position: self.position, tag });
            }
            next_tag = tag.saturating_add(1);
            match fields.iter().find(|field| field.tag == Some(tag)) {
                Some(field) if field.is_in(self.version) => self.tagged_field(tag, size, field.kind)?,
                // Apache Kafka refuses it, too, and so does `kafka_protocol`: it is not for later releases to use.
                Some(_) => return Err(ShapeError::IllegalTag { position: self.position, tag }),
                None => self.skip(size)?,
            }
        }
        Ok(())
    }

    /// `kafka_protocol` decodes a known tagged field without looking at its size: the two must agree.
    fn tagged_field(&mut self, tag: u32, size: usize, kind: Kind) -> Result<(), ShapeError> {
        let position = self.position;
        let outer_end = std::mem::replace(&mut self.end, position + size);
        self.kind(kind)?;
        if self.left() != 0 {
            return Err(ShapeError::IllegalTag { position, tag });
        }
        self.end = outer_end;
        Ok(())
    }

    /// The length of bytes or the count of an array: 4 bytes, or compact.
    fn length(&mut self, null: Null) -> Result<Option<usize>, ShapeError> {
        if self.flexible {
            return self.compact(null);
        }
        let position = self.position;
        let length = i32::from_be_bytes(self.take()?);
        legal_length(i64::from(length), null, position)
    }

    fn short(&mut self, null: Null) -> Result<Option<usize>, ShapeError> {
        let position = self.position;
        let length = i16::from_be_bytes(self.take()?);
        legal_length(i64::from(length), null, position)
    }

    fn compact(&mut self, null: Null) -> Result<Option<usize>, ShapeError> {
        let position = self.position;
        let length = self.varint()?;
        legal_length(i64::from(length) - 1, null, position)
    }

    /// An unsigned varint of at most 5 bytes and 32 bits.
    fn varint(&mut self) -> Result<u32, ShapeError> {
        let position = self.position;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ShapeError::IllegalLength { position })
    }

    fn byte(&mut self) -> Result<u8, ShapeError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ShapeError> {
        let start = self.position;
        self.skip(N)?;
        Ok(self.body[start..self.position].try_into().expect("the range is N bytes long"))
    }

    fn skip(&mut self, bytes: usize) -> Result<(), ShapeError> {
        self.must_hold(bytes)?;
        self.position += bytes;
        Ok(())
    }

    fn must_hold(&self, wanted: usize) -> Result<(), ShapeError> {
        let left = self.left();
        if wanted <= left { Ok(()) } else { Err(ShapeError::Short { position: self.position, wanted, left }) }
    }

    fn count_elements(&mut self, count: usize) -> Result<(), ShapeError> {
        self.elements = self.elements.saturating_add(count);
        if self.elements > ELEMENTS_MAX { Err(ShapeError::TooManyElements) } else { Ok(()) }
    }

    fn left(&self) -> usize {
        self.end - self.position
    }
}

fn legal_length(length: i64, null: Null, position: usize) -> Result<Option<usize>, ShapeError> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 && null == Null::Allowed => Ok(None),
        Err(_) => Err(ShapeError::IllegalLength { position }),
    }
}

impl Field {
    fn is_in(&self, version: i16) -> bool {
        (self.from..=self.to).contains(&version)
    }
}
