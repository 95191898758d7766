//! Requests about several transactional ids.

use super::groups::split_by_name;
use super::route::Key;
use super::split::Split;
use crate::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTransaction;
use crate::wire::messages::add_partitions_to_txn_response::AddPartitionsToTxnResult;
use crate::wire::messages::describe_transactions_response::TransactionState;
use crate::wire::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, TransactionalId,
};

split_by_name!(
    DescribeTransactionsRequest { transactional_ids: TransactionalId } by |id| Key::TransactionalId(id),
    DescribeTransactionsResponse { transaction_states: TransactionState }
);
split_by_name!(
    AddPartitionsToTxnRequest { transactions: AddPartitionsToTxnTransaction }
        by |transaction| Key::TransactionalId(&transaction.transactional_id),
    AddPartitionsToTxnResponse { results_by_transaction: AddPartitionsToTxnResult }
);
