-- @destroys table user_requests
drop table user_requests;
drop table user_head;
-- @destroys table users
drop table users;
