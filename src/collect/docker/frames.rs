//! The bytes of a log stream to frames, each one message of the logging driver.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr;

use crate::limits::LINE_BYTES_MAX;

/// More of one frame is not kept: the longest line and its timestamp.
const FRAME_BYTES_MAX: usize = LINE_BYTES_MAX + 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub const ALL: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }

    pub fn index(self) -> usize {
        self as usize
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// Timestamp, space, text, and `\n` unless the message is a piece of a longer one.
    Log { stream: Stream, body: Bytes },
    /// The engine could not go on; not a line of the container.
    SystemError(String),
    /// No header of a log stream.
    Garbage,
}

/// How the engine sends a stream: with headers, or bare when the container has a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Multiplexed,
    Terminal,
}

#[derive(Debug)]
pub(super) struct FrameDecoder {
    framing: Framing,
    header: Vec<u8>,
    /// Kind and bytes that are still to come of the frame being read.
    open: Option<(u8, usize)>,
    body: BytesMut,
}

impl FrameDecoder {
    pub fn new(framing: Framing) -> Self {
        FrameDecoder { framing, header: Vec::new(), open: None, body: BytesMut::new() }
    }

    pub fn push(&mut self, chunk: &[u8], frames: &mut Vec<Frame>) {
        match self.framing {
            Framing::Multiplexed => self.push_multiplexed(chunk, frames),
            Framing::Terminal => self.push_terminal(chunk, frames),
        }
    }

    fn push_multiplexed(&mut self, mut chunk: &[u8], frames: &mut Vec<Frame>) {
        while !chunk.is_empty() || matches!(self.open, Some((_, 0))) {
            let Some((kind, left)) = self.open else {
                let take = chunk.len().min(8 - self.header.len());
                self.header.extend_from_slice(&chunk[..take]);
                chunk = &chunk[take..];
                if let [kind, 0, 0, 0, a, b, c, d] = self.header[..]
                    && kind <= 3
                {
                    let length = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.open = Some((kind, length));
                    self.header.clear();
                } else if self.header.len() == 8 {
                    self.header.clear();
                    frames.push(Frame::Garbage);
                    return;
                }
                continue;
            };
            let take = chunk.len().min(left);
            self.keep(&chunk[..take]);
            chunk = &chunk[take..];
            self.open = Some((kind, left - take));
            if left == take {
                self.open = None;
                let body = self.body.split().freeze();
                frames.push(match kind {
                    3 => Frame::SystemError(String::from_utf8_lossy(&body).trim().to_owned()),
                    2 => Frame::Log { stream: Stream::Stderr, body },
                    _ => Frame::Log { stream: Stream::Stdout, body },
                });
            }
        }
    }

    fn push_terminal(&mut self, mut chunk: &[u8], frames: &mut Vec<Frame>) {
        while let Some(at) = memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(at + 1);
            self.keep(line);
            chunk = rest;
            let body = self.body.split().freeze();
            frames.push(Frame::Log { stream: Stream::Stdout, body });
        }
        self.keep(chunk);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = FRAME_BYTES_MAX.saturating_sub(self.body.len());
        let kept = bytes.len().min(room);
        self.body.put_slice(&bytes[..kept]);
        // A long message ends like a whole one, so that nothing is joined to it.
        if kept < bytes.len()
            && bytes.last() == Some(&b'\n')
            && let Some(last) = self.body.last_mut()
        {
            *last = b'\n';
        }
    }

    /// The last line of a terminal when the process has ended in the middle of it.
    pub fn finish(&mut self) -> Option<Frame> {
        if self.framing == Framing::Multiplexed || self.body.is_empty() {
            return None;
        }
        let body = self.body.split().freeze();
        Some(Frame::Log { stream: Stream::Stdout, body })
    }
}

/// The timestamp a message begins with, in nanoseconds, and the text after it.
pub(super) fn split_timestamp(body: &Bytes) -> Option<(i64, Bytes)> {
    let space = memchr(b' ', body.get(..body.len().min(40))?)?;
    let text = std::str::from_utf8(body.get(..space)?).ok()?;
    let ts = chrono::DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()?;
    Some((ts, body.slice(space + 1..)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn framed(kind: u8, body: &str) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }

    fn decode(framing: Framing, bytes: &[u8], chunk_bytes: usize) -> Vec<Frame> {
        let mut decoder = FrameDecoder::new(framing);
        let mut frames = Vec::new();
        for chunk in bytes.chunks(chunk_bytes) {
            decoder.push(chunk, &mut frames);
        }
        frames.extend(decoder.finish());
        frames
    }

    fn log(stream: Stream, body: &str) -> Frame {
        Frame::Log { stream, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn frames_whatever_the_chunks() {
        let mut bytes = framed(1, "out\n");
        bytes.extend(framed(2, "err\n"));
        bytes.extend(framed(1, ""));
        bytes.extend(framed(3, "Error grabbing logs: x\n"));
        let expect = [
            log(Stream::Stdout, "out\n"),
            log(Stream::Stderr, "err\n"),
            log(Stream::Stdout, ""),
            Frame::SystemError("Error grabbing logs: x".to_owned()),
        ];
        for chunk_bytes in 1..bytes.len() {
            assert_eq!(decode(Framing::Multiplexed, &bytes, chunk_bytes), expect);
            assert_eq!(
                decode(Framing::Terminal, b"a\r\nb", chunk_bytes),
                [log(Stream::Stdout, "a\r\n"), log(Stream::Stdout, "b")]
            );
        }
        assert_eq!(decode(Framing::Multiplexed, b"GARBAGE!!", 9), [Frame::Garbage]);
    }

    #[test]
    fn timestamps() {
        let split = |text: &'static str| {
            split_timestamp(&Bytes::from_static(text.as_bytes()))
                .map(|(ts, rest)| (ts, String::from_utf8_lossy(&rest).into_owned()))
        };
        assert_eq!(
            split("2024-01-02T03:04:05.000000006Z a b\n"),
            Some((1_704_164_645_000_000_006, "a b\n".to_owned()))
        );
        assert_eq!(
            split("2024-01-02T05:04:05+02:00 "),
            Some((1_704_164_645_000_000_000, String::new()))
        );
        assert_eq!(split("no time here"), None);
        assert_eq!(split(""), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            for framing in [Framing::Multiplexed, Framing::Terminal] {
                decode(framing, &bytes, 7);
            }
        }
    }
}
