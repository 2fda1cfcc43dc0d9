-- @destroys table post_requests
drop table post_requests;
drop table post_head;
-- @destroys table posts
drop table posts;
