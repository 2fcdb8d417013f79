//! Answering what a peer asks, and asking. Upholds: a request costs no more than its bounds; what is
//! told is what is here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn::{RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use super::cards;
use super::catch_up;
use super::endpoint::Link;
use super::frames::{FrameError, Incoming, send_line};
use super::giving;
use super::messages::{Answer, MAX_KEPT, RecordsAfter, Refused, Request};
use super::this_host::{Shared, chained};
use super::voting;

/// How long a line may be under way, and how long a portion of an answer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take until the other end has a place for a request: long answers are under way before it.
const OPENING: Duration = Duration::from_secs(60);

/// How much of an answer is sent at a time.
const PORTION_BYTES: usize = 512 * 1024;

/// Asks; gives the answer's line, and the stream on which the rest comes.
pub async fn ask(link: &Link, request: &Request) -> Result<(Answer, Incoming), FrameError> {
    ask_with(link, request, &[]).await
}

/// Asks, with bytes that follow the request.
pub async fn ask_with(
    link: &Link,
    request: &Request,
    body: &[u8],
) -> Result<(Answer, Incoming), FrameError> {
    // Waiting for a place among the requests under way is not waiting for an answer.
    let opened = timeout(OPENING, link.connection().open_bi()).await;
    let opened = opened.map_err(|_| FrameError::Late)?;
    let (mut send, receive) = opened.map_err(|e| FrameError::Broken(io::Error::other(e)))?;
    let asking = async {
        send_line(&mut send, request).await?;
        send.write_all(body).await?;
        // Nothing follows; that the other end stopped reading is told by its answer.
        let _already_stopped = send.finish();
        let mut incoming = Incoming::new(receive);
        let answer = incoming.line().await?;
        Ok((answer, incoming))
    };
    timeout(PATIENCE, asking)
        .await
        .map_err(|_| FrameError::Late)?
}

/// Answers until the connection ends.
pub async fn serve(shared: Arc<Shared>, link: Link) {
    // How many at once is bounded by the connection.
    while let Ok((send, receive)) = link.connection().accept_bi().await {
        let (shared, link) = (Arc::clone(&shared), link.clone());
        tokio::spawn(async move {
            let mut send = send;
            let answered = answer(&shared, &link, &mut send, receive).await;
            // What was said may be all, or was cut off; the other end has to know which.
            let _already_ended = match &answered {
                Ok(()) => send.finish(),
                Err(_) => send.reset(VarInt::from_u32(1)),
            };
            match answered {
                // The other end's trouble, or it does not want the rest.
                Ok(()) | Err(FrameError::Broken(_) | FrameError::Late) => {}
                Err(error @ (FrameError::Malformed(_) | FrameError::Endless)) => {
                    shared.ignore(&link.peer, &error);
                }
            }
        });
    }
}

async fn answer(
    shared: &Arc<Shared>,
    link: &Link,
    send: &mut SendStream,
    receive: RecvStream,
) -> Result<(), FrameError> {
    let mut incoming = Incoming::new(receive);
    let read = timeout(PATIENCE, incoming.line()).await;
    let request: Request = read.map_err(|_| FrameError::Late)??;
    match request {
        Request::Hello(hello) => {
            let own = shared.hello_for(&link.peer);
            in_time(send_line(send, &Answer::Hello(own))).await?;
            shared.heard(link.peer, hello);
            Ok(())
        }
        Request::Records(asked) => match shared.bulk.try_acquire() {
            Ok(_place) => send_records(shared, link, send, asked).await,
            Err(_full) => refuse(send, Refused::Later).await,
        },
        Request::Blob(asked) => match shared.bulk.try_acquire() {
            Ok(_place) => giving::give_blob(shared, link, send, asked).await,
            Err(_full) => refuse(send, Refused::Busy).await,
        },
        Request::Parts(asked) => match shared.bulk.try_acquire() {
            Ok(_place) => giving::give_parts(shared, send, asked).await,
            Err(_full) => refuse(send, Refused::Busy).await,
        },
        Request::Pieces(digest) => match shared.bulk.try_acquire() {
            Ok(_place) => giving::give_pieces(shared, send, digest).await,
            Err(_full) => refuse(send, Refused::Later).await,
        },
        Request::Doubt(digest) => {
            // Looked at once in a while: it takes a reading of the whole blob.
            if shared.is_due(format!("doubt {digest}")) {
                let name = shared.name_of(&link.peer);
                tracing::warn!("{name} says that blob {digest} is damaged here; it is looked at");
                let looked = shared.on_disk(move |shared| {
                    // It may be that only they are wrong.
                    shared.local.store().forget_pieces(&digest);
                    shared.local.look_at_blob(&digest);
                });
                let _sets_it_aside_if_it_is = looked.await;
            }
            refuse(send, Refused::Missing).await
        }
        Request::Keep(blobs) if blobs.len() > MAX_KEPT => refuse(send, Refused::Nonsense).await,
        Request::Keep(blobs) => match shared.bulk.try_acquire() {
            Ok(_place) => {
                let missing = voting::keep_for(shared, link, blobs).await;
                in_time(send_line(send, &Answer::Kept(missing))).await
            }
            Err(_full) => refuse(send, Refused::Later).await,
        },
        Request::Call(call) => {
            match voting::answer_call(shared, link, call, &mut incoming).await? {
                Ok(body) => {
                    let length = body.len() as u64;
                    in_time(send_line(send, &Answer::Called(length))).await?;
                    in_time(async { Ok(send.write_all(&body).await?) }).await
                }
                Err(refused) => refuse(send, refused).await,
            }
        }
        Request::Cards(signed) => {
            cards::take(shared, signed, Some(link.peer));
            in_time(send_line(send, &Answer::Cards(Vec::new()))).await
        }
        Request::CardsBeside(sums) => {
            let beside = shared.cards.of_other_parts(&sums);
            in_time(send_line(send, &Answer::Cards(beside))).await
        }
        Request::Ledger(request) => {
            let answer = voting::pass(shared, request, Some(link)).await;
            in_time(send_line(send, &Answer::Ledger(answer))).await
        }
    }
}

/// Gives up on a write that the other end does not take.
pub async fn in_time(
    write: impl Future<Output = Result<(), FrameError>>,
) -> Result<(), FrameError> {
    timeout(PATIENCE, write)
        .await
        .map_err(|_| FrameError::Late)?
}

/// Answers that it is not served.
pub async fn refuse(send: &mut SendStream, why: Refused) -> Result<(), FrameError> {
    in_time(send_line(send, &Answer::Refused(why))).await
}

async fn send_records(
    shared: &Arc<Shared>,
    link: &Link,
    send: &mut SendStream,
    asked: RecordsAfter,
) -> Result<(), FrameError> {
    let branch = asked.branch.clone();
    let read = shared.on_disk(move |shared| match shared.local.records_after(&asked) {
        Ok(found) => found,
        Err(error) => {
            shared.mention(format!("records {}", asked.branch), || {
                format!("branch {} is not served: {}", asked.branch, chained(&error))
            });
            Err(Refused::Later)
        }
    });
    match read.await.unwrap_or(Err(Refused::Later)) {
        Ok((records, bytes)) => {
            in_time(send_line(send, &Answer::Records(records))).await?;
            for portion in bytes.chunks(PORTION_BYTES) {
                in_time(async { Ok(send.write_all(portion).await?) }).await?;
            }
            Ok(())
        }
        Err(refused) => {
            if refused == Refused::Diverged {
                catch_up::diverged(shared, &link.peer, &branch);
            }
            refuse(send, refused).await
        }
    }
}
