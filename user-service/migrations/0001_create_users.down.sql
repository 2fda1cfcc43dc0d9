-- @destroys table user_requests
drop table user_requests;
-- @destroys table users
drop table users;
