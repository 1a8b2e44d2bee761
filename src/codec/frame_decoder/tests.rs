use proptest::prelude::*;

use super::*;

fn drain(decoder: &mut FrameDecoder) -> Result<Vec<Bytes>, FrameError> {
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame()? {
        frames.push(frame);
    }
    Ok(frames)
}

fn encode(representation: Representation, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for frame in frames {
        if representation == Representation::Json {
            body.extend_from_slice(frame);
            body.push(b'\n');
        } else {
            body.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            body.extend_from_slice(frame);
        }
    }
    body
}

proptest! {
    #[test]
    fn any_cut_of_the_body_gives_the_same_frames(
        frames in prop::collection::vec(prop::collection::vec(b' '..b'~', 0..40), 0..8),
        cuts in prop::collection::vec(0_usize..400, 0..12),
        pushes_at_once in any::<bool>(),
        binary in any::<bool>(),
    ) {
        let representation = if binary { Representation::Protobuf } else { Representation::Json };
        let body = Bytes::from(encode(representation, &frames));
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.extend([0, body.len()]);
        cuts.sort_unstable();
        let mut decoder = FrameDecoder::new(representation, 40);
        let mut found = Vec::new();
        for pair in cuts.windows(2) {
            decoder.push(body.slice(pair[0]..pair[1]));
            if !pushes_at_once {
                found.extend(drain(&mut decoder).unwrap());
            }
        }
        found.extend(drain(&mut decoder).unwrap());
        prop_assert_eq!(found, frames);
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn a_body_that_ends_inside_a_frame_is_truncated(
        frame in prop::collection::vec(b' '..b'~', 1..40),
        binary in any::<bool>(),
        missing in 1_usize..40,
    ) {
        let representation = if binary { Representation::Protobuf } else { Representation::Json };
        let body = Bytes::from(encode(representation, &[frame]));
        let received = body.len().saturating_sub(missing);
        let mut decoder = FrameDecoder::new(representation, 100);
        decoder.push(body.slice(..received));
        prop_assert_eq!(decoder.next_frame(), Ok(None));
        let expected = if received == 0 { Ok(()) } else { Err(FrameError::Truncated { received }) };
        prop_assert_eq!(decoder.finish(), expected);
    }
}

#[test]
fn a_frame_over_the_bound_ends_the_stream() {
    let too_large = FrameError::TooLarge { limit: 4 };
    for (representation, body, bound_fits) in [
        (Representation::Json, &b"12345\n"[..], &b"1234\n"[..]),
        (Representation::ProtobufMetadata, b"\0\0\0\x0512345", b"\0\0\0\x041234"),
    ] {
        let mut decoder = FrameDecoder::new(representation, 4);
        decoder.push(Bytes::from_static(bound_fits));
        assert_eq!(decoder.next_frame().unwrap().unwrap(), "1234");
        decoder.push(Bytes::from_static(body));
        assert_eq!(decoder.next_frame(), Err(too_large));
        decoder.push(Bytes::from_static(bound_fits));
        assert_eq!(decoder.next_frame(), Err(too_large));
        assert_eq!(decoder.finish(), Err(too_large));
    }
}

#[test]
fn the_bound_holds_before_the_frame_is_complete() {
    let mut decoder = FrameDecoder::new(Representation::Json, 4);
    decoder.push(Bytes::from_static(b"123"));
    assert_eq!(decoder.next_frame(), Ok(None));
    decoder.push(Bytes::from_static(b"45"));
    assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge { limit: 4 }));

    let mut decoder = FrameDecoder::new(Representation::Protobuf, 4);
    decoder.push(Bytes::from_static(b"\xff\xff\xff\xff"));
    assert_eq!(decoder.next_frame(), Err(FrameError::TooLarge { limit: 4 }));
}

/// Whether `part` points into `whole`.
fn shares(part: &Bytes, whole: &Bytes) -> bool {
    whole.as_ptr_range().contains(&part.as_ptr())
}

#[test]
fn only_large_parts_of_a_chunk_share_its_memory() {
    let large = [vec![b'a'; SHARED_FRAME], vec![b'\n'], vec![b'b'; 100], vec![b'\n']].concat();
    let chunk = Bytes::from(large);
    let mut decoder = FrameDecoder::new(Representation::Json, 1 << 20);
    decoder.push(chunk.clone());
    let frames = drain(&mut decoder).unwrap();
    assert!(shares(&frames[0], &chunk));
    assert!(!shares(&frames[1], &chunk));

    let line = [vec![b'a'; SHARED_FRAME], vec![b'\n']].concat();
    let chunk = Bytes::from(line.repeat(3));
    decoder.push(chunk.clone());
    assert!(drain(&mut decoder).unwrap().iter().all(|frame| !shares(frame, &chunk)));
}
