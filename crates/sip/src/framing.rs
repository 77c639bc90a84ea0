//! Messages out of a stream (RFC 3261 section 18.3, RFC 5626 section 3.5.1).

use bytes::{Buf, Bytes, BytesMut};

use crate::message::{MAX_HEAD, Message, ParseError, content_length, head_end};

/// What comes out of a stream.
#[derive(Clone, Debug)]
pub enum Frame {
    Message(Message),
    /// A message whose length is known but which is otherwise malformed: answer it, the stream goes on.
    Malformed(Bytes, ParseError),
    /// CRLFCRLF from the side that opened the connection: answer with CRLF.
    Ping,
    /// CRLF in answer to our ping.
    Pong,
}

/// Why a stream cannot be followed any further: answer if [`FrameError::status`] and what is there allow it, then close.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More than the bound; `head` is what has come of it, for a 513.
    #[error("message larger than the bound")]
    TooLarge { head: Bytes },
    /// No usable Content-Length (section 20.14 demands one on streams); `head` is the message's head, for a 400.
    #[error("no usable Content-Length")]
    NoLength { head: Bytes },
}

impl FrameError {
    /// The status to refuse with.
    pub const fn status(&self) -> u16 {
        match self {
            FrameError::TooLarge { .. } => 513,
            FrameError::NoLength { .. } => 400,
        }
    }

    /// What has come of the offending message, for [`crate::message::best_effort_response`].
    pub const fn head(&self) -> &Bytes {
        match self {
            FrameError::TooLarge { head } | FrameError::NoLength { head } => head,
        }
    }
}

/// Who opened the connection, and hence who pings (RFC 5626 section 3.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Accepted,
    Opened,
}

/// Cuts the bytes of one connection into frames. Push what has come, then take frames until `Ok(None)`.
///
/// What it holds is bounded by the largest message and what one push adds. After an error nothing comes out any more.
#[derive(Debug)]
pub struct StreamFramer {
    buffer: BytesMut,
    /// Largest message, in bytes.
    max_message: usize,
    role: Role,
    /// Up to here there is no end of a head.
    searched: usize,
    /// Of the message at the buffer's start, once its head is complete.
    whole: Option<usize>,
    failed: bool,
}

impl StreamFramer {
    /// For a connection that the far end opened; `max_message` in bytes.
    pub fn accepted(max_message: usize) -> Self {
        StreamFramer::new(max_message, Role::Accepted)
    }

    /// For a connection that we opened: every CRLF between messages is a pong.
    pub fn opened(max_message: usize) -> Self {
        StreamFramer::new(max_message, Role::Opened)
    }

    fn new(max_message: usize, role: Role) -> Self {
        StreamFramer {
            buffer: BytesMut::new(),
            max_message,
            role,
            searched: 0,
            whole: None,
            failed: false,
        }
    }

    /// Adds what has come, in pieces of any size.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.failed {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Bytes that wait for more.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame; `Ok(None)` when more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`] when the stream cannot be followed: close the connection.
    pub fn poll(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.failed {
            return Ok(None);
        }
        if self.whole.is_none() {
            if let Some(frame) = self.keep_alive() {
                return Ok(Some(frame));
            }
            if !self.measure()? {
                return Ok(None);
            }
        }
        match self.whole {
            Some(whole) if whole <= self.buffer.len() => {
                self.whole = None;
                self.searched = 0;
                let bytes = self.buffer.split_to(whole).freeze();
                Ok(Some(match Message::parse(bytes.clone()) {
                    Ok(message) => Frame::Message(message),
                    Err(error) => Frame::Malformed(bytes, error),
                }))
            }
            _ => Ok(None),
        }
    }

    /// Takes CRLFs from in front of a message. A lone CRLF at the end of what has come may be half a ping.
    fn keep_alive(&mut self) -> Option<Frame> {
        while let Some(first) = self.buffer.first() {
            match (first, self.role) {
                (b'\r' | b'\n', Role::Accepted) if self.buffer.starts_with(b"\r\n\r\n") => {
                    self.buffer.advance(4);
                    return Some(Frame::Ping);
                }
                (b'\r' | b'\n', Role::Opened) if self.buffer.starts_with(b"\r\n") => {
                    self.buffer.advance(2);
                    return Some(Frame::Pong);
                }
                (b'\r' | b'\n', _) if b"\r\n\r\n".starts_with(&self.buffer) => return None,
                (b'\r' | b'\n', _) => self.buffer.advance(1),
                _ => return None,
            }
        }
        None
    }

    /// Finds out how long the message at the start is; false when its head is not complete.
    fn measure(&mut self) -> Result<bool, FrameError> {
        if matches!(self.buffer.first(), None | Some(b'\r' | b'\n')) {
            return Ok(false);
        }
        let bound = self.max_message.min(MAX_HEAD);
        let Some(head) = head_end(&self.buffer, self.searched) else {
            // The empty line may have begun in what is already there.
            self.searched = self.buffer.len().saturating_sub(3);
            return if self.buffer.len() > bound {
                Err(self.too_large(bound))
            } else {
                Ok(false)
            };
        };
        if head > bound {
            return Err(self.too_large(bound));
        }
        let Ok(length) = content_length(&self.buffer[..head]) else {
            self.failed = true;
            return Err(FrameError::NoLength {
                head: self.buffer.split_to(head).freeze(),
            });
        };
        match head
            .checked_add(length)
            .filter(|whole| *whole <= self.max_message)
        {
            Some(whole) => self.whole = Some(whole),
            None => return Err(self.too_large(head)),
        }
        Ok(true)
    }

    fn too_large(&mut self, head: usize) -> FrameError {
        self.failed = true;
        let head = self.buffer.split_to(head.min(self.buffer.len())).freeze();
        FrameError::TooLarge { head }
    }
}
